// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "chart.hpp"
#include "keep_picture.hpp"
#include "table.hpp"

namespace espalier::tool {

/// One number that matters, large.
struct Tile {
  std::string label, value, note;
  bool good = true;
};

/// What a person sees first. Numbers come in as they were counted or measured.
struct Report {
  std::string title, summary, command;
  std::vector<Tile> tiles;
  std::vector<Chart> charts;
  std::vector<LayerUnits> layers;
  Table stretches;  ///< what a step took as units left; may be empty
  Table comparison;
  Table paired;  ///< differences between arms of one seed; may be empty
  std::vector<std::string> notes;  ///< how the numbers were taken
  std::vector<std::pair<std::string, std::string>> settings, provenance;

  /// One file that needs nothing else: no script, no font, no network.
  std::string html() const;
};

}  // namespace espalier::tool
