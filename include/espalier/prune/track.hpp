// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <espalier/core/config.hpp>
#include <string>
#include <vector>

namespace espalier::inline v0 {

/// Numbers of units that a layer may keep, descending: what it has now, and below that multiples of `round` that are not
/// below `least`.
struct Ladder {
  Index now = 0, least = 1, round = 1;

  Index top() const { return (now - 1) / round * round; }  ///< the highest multiple below
  Index lowest() const { return (std::max<Index>(least, 1) + round - 1) / round * round; }
  std::size_t steps() const { return top() < lowest() ? 0 : std::size_t((top() - lowest()) / round + 1); }
  Index operator[](std::size_t step) const { return step == 0 ? now : top() - Index(step - 1) * round; }
};

/// Blocks of units in the order in which they leave: those of one layer, or of one kind in all layers. A state of it is
/// how many blocks have left, and every state is allowed.
struct Track {
  std::string kind;
  Index full = 0;             ///< units before any pruning
  std::vector<Index> units;   ///< (blocks + 1) units gone after so many blocks
  std::vector<double> spent;  ///< (blocks + 1) what has gone of the budget by then; never falls
  double step = 0;            ///< the largest rise of `spent` from one block to the next

  using Position = std::size_t;
  Position last() const { return units.size() - 1; }
  double reach() const { return spent.back() - spent.front(); }

  /// Where the number of units gone is nearest to k; of two the larger.
  Position nearest(Index k) const {
    const auto at = std::lower_bound(units.begin(), units.end(), k);
    if (at == units.end()) return last();
    if (at == units.begin() || *at - k <= k - *(at - 1)) return Position(at - units.begin());
    return Position(at - units.begin()) - 1;
  }
  /// k = floor(n s + ½), or floor(n s).
  Position share(double s, bool whole = false) const {
    return nearest(Index(std::floor(double(full) * s + (whole ? 0.0 : 0.5 + 1e-9))));
  }
  /// Where the budget is nearest to `goal`; of two the later.
  Position nearest_spent(double goal) const {
    const auto at = std::lower_bound(spent.begin(), spent.end(), goal);
    if (at == spent.end()) return last();
    if (at == spent.begin() || *at - goal <= goal - *(at - 1)) return Position(at - spent.begin());
    return Position(at - spent.begin()) - 1;
  }
  /// The next state that costs more, and the last one that costs less; p itself when there is none.
  Position after(Position p) const {
    for (Position q = p + 1; q < units.size(); ++q)
      if (spent[q] > spent[p]) return q;
    return p;
  }
  Position before(Position p) const {
    for (Position q = p; q-- > 0;)
      if (spent[q] < spent[p]) return q;
    return p;
  }
  double progress(Position p) const { return double(units[p]) / double(full); }
};

/// Positions on all tracks, and what they have spent together.
using Positions = std::vector<Track::Position>;
inline double spent_by(const std::vector<Track>& tracks, const Positions& at) {
  double total = 0;
  for (std::size_t t = 0; t < tracks.size(); ++t) total += tracks[t].spent[at[t]];
  return total;
}

/// Tracks of one kind, and how far apart the sums are that they can make.
struct TrackClass {
  std::string kind;
  double step = 0, reach = 0;
  std::vector<std::size_t> tracks;
};
/// The finest first. What costs nothing is not among them.
inline std::vector<TrackClass> classes_of(const std::vector<Track>& tracks) {
  std::vector<TrackClass> all;
  for (std::size_t t = 0; t < tracks.size(); ++t) {
    if (!(tracks[t].reach() > 0)) continue;
    auto at = std::find_if(all.begin(), all.end(), [&](const TrackClass& c) { return c.kind == tracks[t].kind; });
    if (at == all.end()) at = all.insert(all.end(), TrackClass{tracks[t].kind, 0, 0, {}});
    at->step = std::max(at->step, tracks[t].step), at->reach += tracks[t].reach();
    at->tracks.push_back(t);
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return all;
}
/// The smallest step: within the reach of the tracks no goal is farther than half of it from a sum that they can make.
/// It is the finest block, unless all fine blocks together do not bridge a coarse one.
inline double smallest_step(const std::vector<Track>& tracks) {
  double step = 0, reach = 0;
  for (const TrackClass& c : classes_of(tracks)) step = std::max(step, c.step - reach), reach += c.reach;
  return step;
}

}  // namespace espalier::inline v0
