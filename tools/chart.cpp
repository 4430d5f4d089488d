// SPDX-License-Identifier: MIT
#include "chart.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "html.hpp"
#include "numbers.hpp"

namespace espalier::tool {
namespace {

constexpr double kWidth = 560, kHeight = 250, kLeft = 46, kRight = 14, kTop = 14, kBottom = 30;

std::string at(double x) {
  std::string text = fixed(x, 1);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

/// As many digits as tell ticks of this distance apart.
std::string tick_text(double value, double distance, bool percent) {
  if (percent) return fixed(100 * value, 0) + "%";
  if (distance < 1e-3 && value != 0) return printed("%.1e", value);
  if (distance < 1e-3) return "0";
  const int digits = distance >= 1 ? 0 : std::min(6, int(std::ceil(-std::log10(distance) - 1e-9)));
  return std::abs(value) >= 10000 ? brief(value) : fixed(value, digits);
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int count) {
  const double rough = (high - low) / std::max(1, count);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = power;
  for (const double f : {1.0, 2.0, 5.0, 10.0}) {
    step = f * power;
    if (step >= rough * 0.999) break;
  }
  std::vector<double> ticks;
  const double first = std::floor(low / step + 1e-9);
  for (int k = 0; (first + k) * step <= high + step * 0.999; ++k) ticks.push_back((first + k) * step);
  return ticks;
}

std::string Chart::html() const {
  double x0 = std::numeric_limits<double>::infinity(), x1 = -x0, low = x0, high = -x0;
  for (const Curve& c : curves) {
    for (const Point& p : c.points) {
      x0 = std::min(x0, p.x), x1 = std::max(x1, p.x), low = std::min(low, p.y), high = std::max(high, p.y);
    }
  }
  if (!(x1 >= x0)) return "";
  if (from_zero) low = 0;
  if (high - low < 1e-9 * std::max(1.0, std::abs(high)))
    high = low + std::max(1e-3, 0.1 * std::abs(low)), low -= from_zero ? 0 : (high - low);
  if (x1 <= x0) x1 = x0 + 1;
  const auto ticks = round_ticks(low, high, 4);
  low = std::min(low, ticks.front()), high = std::max(high, ticks.back());
  const auto px = [&](double x) { return kLeft + (x - x0) / (x1 - x0) * (kWidth - kLeft - kRight); };
  const auto py = [&](double y) { return kHeight - kBottom - (y - low) / (high - low) * (kHeight - kTop - kBottom); };

  std::string out = "<figure class=\"chart\"><figcaption><b>" + escaped(title) + "</b>";
  for (const Curve& c : curves) {
    if (curves.size() > 1) out += "<span class=\"key " + c.look + "\">" + escaped(c.name) + "</span>";
  }
  if (shade_to > shade_from) out += "<span class=\"key shade\">" + escaped(shade) + "</span>";
  out += "</figcaption>\n<svg viewBox=\"0 0 " + at(kWidth) + " " + at(kHeight) + "\" role=\"img\" aria-label=\"" +
         escaped(title) + "\">\n";
  if (shade_to > shade_from) {
    const double from = px(std::max(shade_from, x0)), to = px(std::min(shade_to, x1));
    out += "<rect class=\"shade\" x=\"" + at(from) + "\" y=\"" + at(kTop) + "\" width=\"" +
           at(std::max(0.0, to - from)) + "\" height=\"" + at(kHeight - kTop - kBottom) + "\"/>\n";
  }
  for (const double t : ticks) {
    out += "<line class=\"grid\" x1=\"" + at(kLeft) + "\" x2=\"" + at(kWidth - kRight) + "\" y1=\"" + at(py(t)) +
           "\" y2=\"" + at(py(t)) + "\"/>";
    out += "<text class=\"tick\" text-anchor=\"end\" x=\"" + at(kLeft - 7) + "\" y=\"" + at(py(t) + 4) + "\">" +
           tick_text(t, ticks.size() > 1 ? ticks[1] - ticks[0] : 1, percent) + "</text>\n";
  }
  out += "<text class=\"tick\" text-anchor=\"end\" x=\"" + at(kLeft - 7) + "\" y=\"" + at(kHeight - 9) +
         "\">" + escaped(x_name) + "</text>\n";
  const auto x_ticks = round_ticks(x0, x1, 5);
  for (const double t : x_ticks) {
    if (t < x0 - 1e-9 || t > x1 + 1e-9) continue;  // a chart begins at its first point
    out += "<text class=\"tick\" text-anchor=\"middle\" x=\"" + at(px(t)) + "\" y=\"" + at(kHeight - 9) + "\">" +
           tick_text(t, 1, x_percent) + "</text>";
  }
  out += "\n";
  for (const Curve& c : curves) {
    if (c.points.empty()) continue;
    std::string path;
    for (std::size_t i = 0; i < c.points.size(); ++i) {
      const std::string x = at(px(c.points[i].x)), y = at(py(c.points[i].y));
      path += i == 0 ? "M" + x + " " + y : c.steps ? "H" + x + "V" + y : "L" + x + " " + y;
    }
    if (c.area) {
      out += "<path class=\"area " + c.look + "\" d=\"" + path + "V" + at(py(low)) + "H" + at(px(c.points.front().x)) +
             "Z\"/>\n";
    }
    out += "<path class=\"line " + c.look + "\" d=\"" + path + "\"/>\n";
    for (const Point& p : c.points) {  // a title is a tooltip without a script
      if (!c.dots) break;
      out += "<circle class=\"dot " + c.look + "\" cx=\"" + at(px(p.x)) + "\" cy=\"" + at(py(p.y)) +
             "\" r=\"3.2\"><title>" + escaped(c.name + ", " + x_name) + " " + (x_percent ? tick_text(p.x, 1, true) : at(p.x)) + ": " + (percent ? fixed(100 * p.y, 1) + "%" : fixed(p.y, 3)) +
             "</title></circle>";
    }
    out += "\n";
  }
  return out + "</svg></figure>\n";
}

}  // namespace espalier::tool
