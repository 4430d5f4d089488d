// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/core/config.hpp>
#include <espalier/prune/budget.hpp>
#include <string>
#include <vector>

namespace espalier::inline v0 {

/// One group as the selection sees it, on the host.
struct Candidates {
  std::string kind;
  Index layer = 0;
  Index full = 0;                   ///< units before any compaction
  Index cost = 0;                   ///< parameters of one unit
  double price = 0;                 ///< of one unit, in what the budget counts
  Index least = 1;                  ///< units that stay in any case
  Index round = 1;                  ///< the number kept is a multiple of this, or all
  bool excluded = false;            ///< stays as it is for good
  bool skipped = false;             ///< stays as it is this time
  std::vector<double> scores;       // (units) of those not compacted away
  std::vector<std::uint8_t> alive;  // (units)

  Index units() const { return Index(alive.size()); }
  Index compacted() const { return full - units(); }
  Index kept() const { return Index(std::count(alive.begin(), alive.end(), std::uint8_t{1})); }
  Index removed() const { return full - kept(); }
};

/// What has gone of the budget in some groups when they keep so many units: price · (full − kept). Where all layers are
/// stored with one width, kept is that width. `kept` has a number for every group.
inline double spent_in(const std::vector<Candidates>& groups, const std::vector<std::size_t>& some,
                       const std::vector<Index>& kept, const Widths& widths) {
  double total = 0;
  if (widths.empty()) {
    for (const std::size_t g : some) total += groups[g].price * double(groups[g].full - kept[g]);
    return total;
  }
  std::vector<std::string> done;
  for (const std::size_t first : some) {
    const std::string& kind = groups[first].kind;
    if (std::find(done.begin(), done.end(), kind) != done.end()) continue;
    done.push_back(kind);
    Index widest = 0;
    for (const std::size_t g : some)
      if (groups[g].kind == kind) widest = std::max(widest, kept[g]);
    const Index stored = widths.at(kind).at(std::size_t(widest));
    for (const std::size_t g : some)
      if (groups[g].kind == kind) total += groups[g].price * double(groups[g].full - stored);
  }
  return total;
}

}  // namespace espalier::inline v0
