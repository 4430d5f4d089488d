// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/candidates.hpp>
#include <espalier/prune/track.hpp>
#include <limits>
#include <numeric>

namespace espalier::inline v0 {

/// Units of one layer that leave together, so that what it keeps is allowed before and after.
struct Block {
  double score;       ///< mean of its units, or mean per price
  std::size_t group;
  Index kept;         ///< what its layer keeps when it has gone
};

/// Blocks of different layers leave in the order of their scores, those of equal score in the order of groups.
inline bool leaves_before(const Block& a, const Block& b) {
  return a.score != b.score ? a.score < b.score : a.group != b.group ? a.group < b.group : a.kept > b.kept;
}

/// The blocks of one group, those with its lowest scores first. alive_only: who is masked is not there any more.
inline void add_blocks(const Candidates& c, std::size_t group, const Ladder& ladder, bool alive_only, bool per_price,
                       std::vector<Block>& to) {
  std::vector<double> scores;
  for (const int u : leaving_order(c, alive_only))
    if (!alive_only || c.alive[std::size_t(u)]) scores.push_back(c.scores[std::size_t(u)]);
  auto at = scores.begin();
  double before = 0;
  for (std::size_t b = 1; b <= ladder.steps(); ++b) {
    const Index n = ladder[b - 1] - ladder[b];
    double score = std::accumulate(at, at + n, 0.0) / double(n);
    if (per_price) score = c.price > 0 ? score / c.price : std::numeric_limits<double>::infinity();
    if (b > 1) score = std::max(score, before);  // whatever rounding says, the lowest block goes first
    before = score, at += n;
    to.push_back({score, group, ladder[b]});
  }
}

}  // namespace espalier::inline v0
