// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/blocks.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/options.hpp>
#include <espalier/prune/spend.hpp>
#include <map>
#include <string>
#include <utility>

namespace espalier::inline v0 {

/// What to reach now: a share of the units of every layer (floor when whole), or an amount of the budget that has gone.
struct Goal {
  double share = 0;
  double spent = 0;
  bool by_budget = false;
  bool whole = false;
  double step = -1;  ///< the smallest step that a share is met within, of the model before any pruning; below zero: of what is left
};

/// Chooses which units stay. Plain host code that knows neither models nor devices.
///
/// Units leave in blocks, so that every layer keeps an allowed number at any time: one unit, or up to the next multiple.
/// What competes is a track of blocks: those of a layer (local), those of a kind in all layers in the order of their mean
/// scores (global), a block of every layer at once (uniform, or where all layers are stored with one width), or all
/// blocks in the order of mean score per price (per cost).
class Selection {
 public:
  Selection(std::vector<Candidates>& groups, const PrunerOptions& options)
      : groups_(groups), options_(options), kept_(groups.size()) {
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const Candidates& c = groups[g];
      const bool moves = !c.excluded && !c.skipped;
      kept_[g] = moves && !permanent() ? c.units() : c.kept();
      if (moves) ladders_.emplace(g, Ladder{kept_[g], c.least, c.round});
    }
    for (const auto& [g, steps] : ladders_) {
      auto team = std::find_if(teams_.begin(), teams_.end(), [&, here = g](const Team& t) {
        return options.per_cost || (t.kind == groups_[here].kind && (global() || options.uniform || one_width()));
      });
      if (team == teams_.end()) team = teams_.insert(teams_.end(), Team{groups[g].kind, {}, {}, {}, {}});
      team->members.push_back(g);
    }
    for (std::size_t g = 0; g < groups.size(); ++g) {  // where widths are shared, one who stays has its say
      const auto owner = std::find_if(teams_.begin(), teams_.end(), [&](const Team& t) {
        if (!one_width()) return std::find(t.members.begin(), t.members.end(), g) != t.members.end();
        return std::any_of(t.members.begin(), t.members.end(),
                           [&](std::size_t m) { return groups_[m].kind == groups_[g].kind; });
      });
      if (owner == teams_.end()) aside_.push_back(g); else owner->priced.push_back(g);
    }
    for (Team& t : teams_) tracks_.push_back(global() ? ranked(t) : together(t));
  }

  const std::vector<Track>& tracks() const { return tracks_; }
  /// What groups that stay as they are have lost already.
  double aside() const { return spent_in(groups_, aside_, kept_, widths()); }
  /// The budget spent when everything leaves that may.
  double most() const {
    double n = aside();
    for (const Track& t : tracks_) n += t.spent.back();
    return n;
  }

  /// Writes the new bits into the candidates. `end` is where this leads to: what cannot come back leaves only if it will
  /// have left by then, so that no event stands in the way of the last one.
  void choose(const Goal& goal, const Goal& end) {
    Positions at = positions(goal);
    if (permanent()) {
      const Positions last = positions(end);
      for (std::size_t t = 0; t < at.size(); ++t) at[t] = std::min(at[t], last[t]);
    }
    for (std::size_t t = 0; t < teams_.size(); ++t) {
      const std::vector<Index> kept = state(teams_[t], at[t]);
      for (const std::size_t g : teams_[t].members) {
        Candidates& c = groups_[g];
        c.alive = keep_last(c, kept[g], permanent());
      }
    }
  }
  void choose(const Goal& goal) { choose(goal, goal); }

  /// The smallest step of equal shares: those of all layers together, and of all kinds the coarsest.
  static double step_of_shares(const std::vector<Track>& tracks, const PrunerOptions& o) {
    double step = 0;
    for (const Track& t : tracks) {
      double here = 0;
      for (const Track& other : tracks)
        if (other.kind == t.kind && (&other == &t || o.ranking == Ranking::local)) here += other.step;
      step = std::max(step, here);
    }
    return step;
  }

 private:
  struct Team {
    std::string kind;
    std::vector<std::size_t> members, priced;
    std::vector<Block> blocks;  // in the order in which they leave, where they are ranked
    Ladder levels = {};         // the most that each layer keeps, where they go together
  };

  bool permanent() const { return options_.revival == Revival::none; }
  bool global() const { return options_.ranking == Ranking::global; }
  bool one_width() const { return !widths().empty(); }
  const Widths& widths() const { return options_.target.widths; }
  /// Of the budget, in groups that move.
  double prunable() const {
    double n = 0;
    for (const auto& [g, steps] : ladders_) n += groups_[g].price * double(groups_[g].full);
    return n;
  }

  Positions positions(const Goal& goal) const {
    Positions at;
    if (options_.per_cost) {
      const double spent = goal.by_budget ? goal.spent - aside() : goal.share * prunable();
      for (const Track& t : tracks_) at.push_back(t.nearest_spent(spent));
      return at;
    }
    if (goal.by_budget) return spend(tracks_, goal.spent - aside());
    for (const Track& t : tracks_) at.push_back(t.share(goal.share, goal.whole));
    // Floors and multiples can hold units back that others make up for.
    const double spent = goal.share * prunable();
    const bool off = std::abs(spent_by(tracks_, at) - spent) > (goal.step < 0 ? step_of_shares(tracks_, options_) : goal.step);
    return off && !goal.whole ? spend(tracks_, spent) : at;
  }

  /// What every group keeps at a position on a track; others as they are.
  std::vector<Index> state(const Team& team, Track::Position at) const {
    std::vector<Index> kept = kept_;
    if (global()) {
      for (std::size_t b = 0; b < at; ++b) kept[team.blocks[b].group] = team.blocks[b].kept;
    } else {
      for (const std::size_t g : team.members) kept[g] = std::min(kept[g], team.levels[at]);
    }
    return kept;
  }
  Track started(const Team& team) const {
    Track track{.kind = team.kind, .full = 0, .units = {0}, .spent = {spent_in(groups_, team.priced, kept_, widths())}};
    for (const std::size_t g : team.members)
      track.full += groups_[g].full, track.units[0] += groups_[g].full - kept_[g];
    return track;
  }
  void extend(Track& track, Index gone, double spent) const {
    track.step = std::max(track.step, spent - track.spent.back());
    track.units.push_back(track.units.back() + gone), track.spent.push_back(std::max(spent, track.spent.back()));
  }

  /// One layer, or all layers of a kind side by side.
  Track together(Team& team) const {
    Track track = started(team);
    for (const std::size_t g : team.members) {
      const Ladder& l = ladders_.at(g);
      team.levels = {std::max(team.levels.now, l.now), std::max(team.levels.least, l.least),
                     std::max(team.levels.round, l.round)};
    }
    track.units.reserve(team.levels.steps() + 1), track.spent.reserve(team.levels.steps() + 1);
    std::vector<Index> kept = kept_;
    for (std::size_t n = 1; n <= team.levels.steps(); ++n) {
      Index gone = 0;
      for (const std::size_t g : team.members) {
        const Index now = std::min(kept_[g], team.levels[n]);
        gone += kept[g] - now, kept[g] = now;
      }
      extend(track, gone, spent_in(groups_, team.priced, kept, widths()));
    }
    return track;
  }

  /// The lowest blocks over all layers first.
  Track ranked(Team& team) const {
    for (const std::size_t g : team.members)
      add_blocks(groups_[g], g, ladders_.at(g), permanent(), options_.per_cost, team.blocks);
    std::sort(team.blocks.begin(), team.blocks.end(), leaves_before);
    Track track = started(team);
    std::vector<Index> kept = kept_;
    for (const Block& b : team.blocks) {
      const Index gone = kept[b.group] - b.kept;
      kept[b.group] = b.kept;
      extend(track, gone, track.spent.back() + groups_[b.group].price * double(gone));
    }
    return track;
  }

  std::vector<Candidates>& groups_;
  const PrunerOptions& options_;
  std::vector<Index> kept_;                // (groups) when nobody else leaves
  std::map<std::size_t, Ladder> ladders_;  // of groups that move
  std::vector<Team> teams_;
  std::vector<std::size_t> aside_;
  std::vector<Track> tracks_;
};

}  // namespace espalier::inline v0
