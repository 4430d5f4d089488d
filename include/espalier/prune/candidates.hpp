// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/core/config.hpp>
#include <espalier/prune/budget.hpp>
#include <espalier/prune/mask.hpp>
#include <limits>
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
  Index parts = 1;                  ///< of which each keeps some of its units
  bool even = false;                ///< and all the same number
  bool excluded = false;            ///< stays as it is for good
  bool skipped = false;             ///< stays as it is this time
  std::vector<double> scores;       // (units) of those not compacted away
  std::vector<std::uint8_t> alive;  // (units)
  std::vector<Index> part = {};     // (units), ascending; empty: there is one
  std::vector<std::uint8_t> fixed = {};  // (units) 1: stays for good; empty: none does
  Index layers = 0;                 ///< of the model

  /// Whose it is, in words.
  std::string place() const { return layer < 0 ? "the model" : format("layer {}", layer); }

  Index units() const { return Index(alive.size()); }
  Index compacted() const { return full - units(); }
  Index kept() const { return Index(std::count(alive.begin(), alive.end(), std::uint8_t{1})); }
  Index removed() const { return full - kept(); }
};

/// The units of a group in the order in which they leave: the lowest first, of equal ones the lower index, and who is out
/// before all others if that is for good. The last of each part comes last of all; or, where parts stay even, one leaves each.
inline std::vector<int> leaving_order(const Candidates& c, bool permanent) {
  const std::size_t n = c.scores.size();
  std::vector<int> order(n);
  for (std::size_t u = 0; u < n; ++u) order[u] = int(u);
  std::vector<Index> turn(n, 0);
  const auto before = [&](int a, int b) {
    const auto x = std::size_t(a), y = std::size_t(b);
    if (permanent && c.alive[x] != c.alive[y]) return c.alive[x] == 0;
    if (turn[x] != turn[y]) return turn[x] < turn[y];
    return c.scores[x] != c.scores[y] ? c.scores[x] < c.scores[y] : a < b;
  };
  std::sort(order.begin(), order.end(), before);
  if (!c.fixed.empty()) {
    for (std::size_t u = 0; u < n; ++u) turn[u] = c.fixed[u];
    std::sort(order.begin(), order.end(), before);
  }
  if (c.parts == 1) return order;
  std::vector<Index> met(std::size_t(c.parts));
  for (auto at = order.rbegin(); at != order.rend(); ++at) {  // from the highest on
    const Index rank = met[std::size_t(c.part[std::size_t(*at)])]++;
    turn[std::size_t(*at)] = c.even ? -rank : rank == 0;
  }
  std::sort(order.begin(), order.end(), before);
  return order;
}
/// Bits that keep the last `kept` of them.
inline std::vector<std::uint8_t> keep_last(const Candidates& c, Index kept, bool permanent) {
  std::vector<std::uint8_t> keep(c.scores.size(), 0);
  const std::vector<int> order = leaving_order(c, permanent);
  for (std::size_t i = order.size() - std::size_t(kept); i < order.size(); ++i) keep[std::size_t(order[i])] = 1;
  return keep;
}

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
