// SPDX-License-Identifier: MIT
#pragma once
// What a page or a log shows, read as its reader would.
#include <doctest/doctest.h>

#include <cstdio>
#include <regex>
#include <string>
#include <vector>

namespace tooltest {

inline std::string fixed(double x, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, x);
  return text;
}
/// All matches, each as its groups.
inline std::vector<std::vector<std::string>> found(const std::string& text, const char* pattern) {
  const std::regex expression(pattern);
  std::vector<std::vector<std::string>> all;
  for (std::sregex_iterator at(text.begin(), text.end(), expression), end; at != end; ++at) {
    all.emplace_back();
    for (std::size_t g = 1; g < at->size(); ++g) all.back().push_back(at->str(g));
  }
  return all;
}
/// The figure of that title.
inline std::string figure(const std::string& html, const std::string& title) {
  const std::size_t at = html.find("<figure class=\"chart\"><figcaption><b>" + title + "</b>");
  return at == std::string::npos ? "" : html.substr(at, html.find("</figure>", at) - at);
}
/// The numbers of a line whose path has one point for each of them, read off its grid.
inline std::vector<double> read_off(const std::string& figure, const std::string& look) {
  const auto grid = found(figure, "<line class=\"grid\"[^>]* y1=\"([0-9.]+)\"[^>]*/><text[^>]*>([-0-9.e%]+)</text>");
  REQUIRE(grid.size() >= 2);
  const double y0 = std::stod(grid.front()[0]), y1 = std::stod(grid.back()[0]), v0 = std::stod(grid.front()[1]),
               v1 = std::stod(grid.back()[1]);
  const auto path = found(figure, ("<path class=\"line " + look + "\" d=\"([^\"]*)\"").c_str());
  REQUIRE(path.size() == 1);
  std::vector<double> values;
  for (const auto& point : found(path[0][0], "(?:[ML][0-9.]+ |V)([0-9.]+)")) values.push_back(v0 + (std::stod(point[0]) - y0) / (y1 - y0) * (v1 - v0));
  return values;
}

}  // namespace tooltest
