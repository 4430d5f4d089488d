// SPDX-License-Identifier: MIT
#include "keep_picture.hpp"

#include <algorithm>
#include <espalier/core/error.hpp>

#include "numbers.hpp"

namespace espalier::tool {
namespace {

constexpr Index kCell = 18, kGap = 4, kColumns = 16;  // pixels, and cells in a row

std::vector<bool> flags_of(const KeptUnits& units) {
  std::vector<bool> flags(std::size_t(units.full));
  for (const int u : units.kept)
    if (u >= 0 && u < units.full) flags[std::size_t(u)] = true;
  return flags;
}

std::string cells(const KeptUnits& units) {
  if (units.full == 0) return "<span></span>";
  const Index columns = std::min<Index>(units.full, kColumns),
              rows = (units.full + columns - 1) / std::max<Index>(1, columns);
  std::string out = "<svg class=\"heads\" width=\"" + std::to_string(columns * (kCell + kGap) - kGap) + "\" height=\"" +
                    std::to_string(rows * (kCell + kGap) - kGap) + "\">";
  const auto flags = flags_of(units);
  for (Index u = 0; u < units.full; ++u) {
    const bool kept = flags[std::size_t(u)];
    // A removed cell is drawn inside its outline.
    const double inset = kept ? 0 : 0.75;
    const Index column = u % columns, row = u / columns;
    out += "<rect class=\"" + std::string(kept ? "kept" : "gone") + "\" x=\"" +
           fixed(double(column * (kCell + kGap)) + inset, 2) + "\" y=\"" +
           fixed(double(row * (kCell + kGap)) + inset, 2) + "\" width=\"" +
           fixed(double(kCell) - 2 * inset, 2) + "\" height=\"" + fixed(double(kCell) - 2 * inset, 2) +
           "\" rx=\"4\"><title>head group " + std::to_string(u) + (kept ? ": kept" : ": removed") + "</title></rect>";
  }
  return out + "</svg>";
}

/// At most 512 columns; a column of several channels is as strong as its kept share.
std::string strip(const KeptUnits& units) {
  const auto flags = flags_of(units);
  const Index columns = std::min<Index>(units.full, 512);
  std::string out = "<svg class=\"channels\" viewBox=\"0 0 " + std::to_string(std::max<Index>(1, columns)) +
                    " 1\" preserveAspectRatio=\"none\"><rect class=\"bed\" width=\"" + std::to_string(columns) +
                    "\" height=\"1\"/>";
  std::string paths[5];  // shares of a quarter, half, three quarters, all
  for (Index c = 0; c < columns; ++c) {
    const Index from = c * units.full / columns, to = (c + 1) * units.full / columns;
    Index kept = 0;
    for (Index u = from; u < to; ++u) kept += flags[std::size_t(u)] ? 1 : 0;
    const auto level = std::size_t((4 * kept + (to - from) - 1) / (to - from));
    if (level > 0) paths[level] += format("M{} 0h1v1h-1z", c);
  }
  for (std::size_t level = 1; level < 5; ++level) {
    if (!paths[level].empty())
      out += "<path class=\"kept\" opacity=\"" + fixed(double(level) / 4, 2) + "\" d=\"" + paths[level] + "\"/>";
  }
  return out + "</svg>";
}

std::string count(const KeptUnits& units) {
  if (units.full == 0) return "<span></span>";
  return "<span class=\"count\">" + with_commas(Index(units.kept.size())) + "<i> / " + with_commas(units.full) +
         "</i></span>";
}

}  // namespace

std::string keep_picture(const std::vector<LayerUnits>& layers) {
  Index most = 1;
  for (const LayerUnits& l : layers) most = std::max(most, std::min<Index>(l.heads.full, kColumns));
  std::string out =
      "<div class=\"keep\" style=\"--heads:" + std::to_string(std::max<Index>(90, most * (kCell + kGap) - kGap)) +
      "px\">\n<div class=\"row head\"><span></span><span>heads</span><span></span><span>"
      "channels</span><span></span></div>\n";
  for (const LayerUnits& l : layers) {
    out += "<div class=\"row\"><span class=\"layer\">" + (l.layer < 0 ? std::string("all layers") : "layer " + std::to_string(l.layer)) + "</span>" + cells(l.heads) +
           count(l.heads) + strip(l.channels) + count(l.channels) + "</div>\n";
  }
  return out + "</div>\n<div class=\"legend\"><i class=\"kept\"></i>kept<i class=\"gone\"></i>removed</div>\n";
}

}  // namespace espalier::tool
