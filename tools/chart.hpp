// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <vector>

namespace espalier::tool {

struct Point {
  double x, y;
};

/// One line of a chart. `look` is a class of the style sheet: "main", "second", "faint".
struct Curve {
  std::string name, look;
  std::vector<Point> points;
  bool dots = false, area = false, steps = false;  ///< marks on the points; filled below; constant between points
};

struct Chart {
  std::string title, unit;
  std::vector<Curve> curves;
  double shade_from = 0, shade_to = 0;  ///< a stretch of x that is marked; equal: none
  std::string shade;                    ///< what it is called
  bool from_zero = false;               ///< y starts at zero
  bool percent = false;
  std::string x_name = "step";
  bool x_percent = false;

  /// A figure: SVG that takes its colours from the page.
  std::string html() const;
};

/// About `count` round numbers that span [low, high].
std::vector<double> round_ticks(double low, double high, int count);

}  // namespace espalier::tool
