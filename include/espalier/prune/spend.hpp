// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/track.hpp>

namespace espalier::inline v0 {
namespace detail {

/// One search for positions whose sum is nearest to a goal.
class Spending {
 public:
  Spending(const std::vector<Track>& tracks, double goal)
      : tracks_(tracks), classes_(classes_of(tracks)), goal_(goal), step_(smallest_step(tracks)) {}

  Positions positions() {
    best_ = alike();
    error_ = std::abs(goal_ - spent_by(tracks_, best_));
    if (!classes_.empty()) fill(classes_.size() - 1, best_);
    return best_;
  }

 private:
  /// The largest equal share of all tracks that costs no more than the goal.
  Positions alike() const {
    const auto at = [&](double share) {
      Positions p(tracks_.size());
      for (const TrackClass& c : classes_)
        for (const std::size_t t : c.tracks) p[t] = tracks_[t].share(share);
      return p;
    };
    double low = 0, high = 1;
    for (int i = 0; i < 60; ++i) {
      const double middle = (low + high) / 2;
      (spent_by(tracks_, at(middle)) <= goal_ ? low : high) = middle;
    }
    Positions p = at(low);
    const Positions top = at(high);
    double left = goal_ - spent_by(tracks_, p);
    // What jumps together at this share, one track at a time while it fits, the coarse ones first.
    for (auto c = classes_.rbegin(); c != classes_.rend(); ++c)
      for (const std::size_t t : c->tracks)
        if (const double price = tracks_[t].spent[top[t]] - tracks_[t].spent[p[t]]; price > 0 && price <= left)
          p[t] = top[t], left -= price;
    return p;
  }

  /// One block more of a class, of the track that has gone least far, or one less. False: there is none.
  bool shift(const TrackClass& c, Positions& p, bool forward, double within) const {
    const std::size_t none = tracks_.size();
    std::size_t chosen = none;
    for (const std::size_t t : c.tracks) {
      const Track& track = tracks_[t];
      const auto next = forward ? track.after(p[t]) : track.before(p[t]);
      const double price = std::abs(track.spent[next] - track.spent[p[t]]);
      if (next == p[t] || price > within) continue;
      if (chosen == none || (forward ? track.progress(p[t]) < tracks_[chosen].progress(p[chosen])
                                     : track.progress(p[t]) >= tracks_[chosen].progress(p[chosen])))
        chosen = t;
    }
    if (chosen == none) return false;
    p[chosen] = forward ? tracks_[chosen].after(p[chosen]) : tracks_[chosen].before(p[chosen]);
    return true;
  }

  /// The finest class goes to the goal block by block; coarser ones try more and more blocks to either side until what
  /// is finer can make up for it.
  void fill(std::size_t c, const Positions& from) {
    if (c == 0) {
      Positions p = from;
      while (true) {
        const double left = goal_ - spent_by(tracks_, p);
        if (left == 0 || !shift(classes_[0], p, left > 0, 2 * std::abs(left)) || settle(p, left)) break;
      }
      settle(p, goal_ - spent_by(tracks_, p));
      return;
    }
    Positions up = from, down = from;
    fill(c - 1, from);
    for (bool more = true, less = true; 2 * error_ > step_ && (more || less);) {
      if ((more = more && shift(classes_[c], up, true, 1e300))) fill(c - 1, up);
      if (2 * error_ <= step_) return;
      if ((less = less && shift(classes_[c], down, false, 1e300))) fill(c - 1, down);
    }
  }
  /// Remembers what is nearest. True: crossing the goal has brought it no nearer, so that nothing will.
  bool settle(const Positions& p, double left) {
    const double now = goal_ - spent_by(tracks_, p);
    if (std::abs(now) < error_) best_ = p, error_ = std::abs(now);
    return std::abs(now) >= std::abs(left);
  }

  const std::vector<Track>& tracks_;
  std::vector<TrackClass> classes_;
  double goal_, step_, error_ = 0;
  Positions best_;
};

}  // namespace detail

/// How far each track goes so that together they spend `goal`: an equal share of all as far as that goes, then single
/// blocks. Within reach the sum is no farther from the goal than half of smallest_step(). Tracks that cost nothing stay
/// where they are.
inline Positions spend(const std::vector<Track>& tracks, double goal) {
  return detail::Spending(tracks, goal).positions();
}

}  // namespace espalier::inline v0
