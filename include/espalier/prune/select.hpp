// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/budget.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/options.hpp>
#include <string>

namespace espalier::inline v0 {

/// One group as the selection sees it, on the host.
struct Candidates {
  std::string kind;
  Index layer = 0;
  Index full = 0;                   ///< units before any compaction
  Index cost = 0;                   ///< parameters of one unit
  Index round = 1;                  ///< the number kept is a multiple of this
  bool excluded = false;            ///< stays as it is for good
  bool skipped = false;             ///< stays as it is this time
  std::vector<double> scores;       // (units) of those not compacted away
  std::vector<std::uint8_t> alive;  // (units)

  Index units() const { return Index(alive.size()); }
  Index compacted() const { return full - units(); }
  Index kept() const { return Index(std::count(alive.begin(), alive.end(), std::uint8_t{1})); }
  Index removed() const { return full - kept(); }
};

/// What to reach now: a share of units (floor when whole), or a number of parameters.
struct Goal {
  double share = 0;
  Index parameters = 0;
  bool by_parameters = false;
  bool whole = false;
};

/// Chooses which units stay. Plain host code that knows neither models nor devices.
class Selection {
 public:
  Selection(std::vector<Candidates>& groups, const PrunerOptions& options) : groups_(groups), options_(options) {
    const bool permanent = options.revival == Revival::none;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const Candidates& c = groups[g];
      if (c.excluded || c.skipped) continue;
      const Index gone = permanent ? c.removed() : c.compacted();
      Team* team = nullptr;
      for (Team& t : teams_)
        if ((options.ranking == Ranking::global || options.uniform) && t.kind == c.kind) team = &t;
      if (team == nullptr) team = &teams_.emplace_back(Team{c.kind, {}, {}});
      team->members.push_back(g);
      Pool& pool = team->pool;
      if (options.uniform) {  // counts are per layer, prices for all layers at once
        pool.units = c.full, pool.cost += c.cost, pool.least = 1, pool.round = c.round;
        pool.already = std::max(pool.already, gone);
      } else {
        const bool first = team->members.size() == 1;
        pool.units += c.full, pool.already += gone, pool.cost = c.cost, pool.least = first ? 1 : pool.least + 1;
        pool.round = options.ranking == Ranking::global ? 1 : c.round;
      }
    }
  }

  std::vector<Pool> pools() const {
    std::vector<Pool> out;
    for (const Team& t : teams_) out.push_back(t.pool);
    return out;
  }

  /// Writes the new bits into the candidates.
  void choose(const Goal& goal) {
    if (options_.per_cost) return choose_by_cost(goal);
    std::vector<Index> k;
    if (goal.by_parameters) {
      k = spend(pools(), goal.parameters - beyond_reach());
    } else {
      for (const Team& t : teams_) k.push_back(t.pool.share(goal.share, goal.whole));
    }
    for (std::size_t t = 0; t < teams_.size(); ++t) {
      if (options_.ranking == Ranking::global) {
        choose_globally(teams_[t], k[t]);
      } else {
        for (const std::size_t g : teams_[t].members) choose_locally(groups_[g], k[t]);
      }
    }
  }

 private:
  struct Team {
    std::string kind;
    std::vector<std::size_t> members;
    Pool pool;
  };

  /// Parameters that groups which stay as they are have lost already.
  Index beyond_reach() const {
    Index n = 0;
    for (const Candidates& c : groups_)
      if (c.excluded || c.skipped) n += c.cost * c.removed();
    return n;
  }
  bool permanent() const { return options_.revival == Revival::none; }

  void choose_locally(Candidates& c, Index k) const {
    c.alive = keep_all_but_lowest(c.scores, k - c.compacted(), permanent() ? &c.alive : nullptr);
  }

  std::vector<Unit> ranked(const std::vector<std::size_t>& members, bool by_cost) const {
    std::vector<Unit> units;
    for (const std::size_t g : members) {
      const Candidates& c = groups_[g];
      for (Index u = 0; u < c.units(); ++u)
        units.push_back({c.scores[std::size_t(u)] / (by_cost ? double(c.cost) : 1.0), Index(g), u,
                         permanent() && !c.alive[std::size_t(u)]});
    }
    std::sort(units.begin(), units.end(), leaves_before);
    return units;
  }

  /// The lowest k of all members; one unit a layer stays. Then every layer keeps an allowed number.
  void choose_globally(const Team& team, Index k) {
    std::vector<Index> left(groups_.size()), leaving(groups_.size());
    for (const std::size_t g : team.members) left[g] = groups_[g].units(), k -= groups_[g].compacted();
    for (const Unit& u : ranked(team.members, false)) {
      if (k <= 0) break;
      if (left[std::size_t(u.group)] <= 1) continue;
      --left[std::size_t(u.group)], ++leaving[std::size_t(u.group)], --k;
    }
    for (const std::size_t g : team.members) {
      Candidates& c = groups_[g];
      Pool layer{.units = c.full, .cost = c.cost, .least = 1, .already = permanent() ? c.removed() : c.compacted(),
                 .round = c.round};
      choose_locally(c, layer.allowed(leaving[g] + c.compacted()));
    }
  }

  /// All kinds in one ranking, in order of score per parameter, as long as a unit brings the goal nearer.
  void choose_by_cost(const Goal& goal) {
    std::vector<std::size_t> all;
    std::vector<Index> left(groups_.size());
    Index prunable = 0, spent = 0;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const Candidates& c = groups_[g];
      if (!c.excluded) prunable += c.cost * c.full;
      if (c.excluded || c.skipped) continue;
      all.push_back(g), left[g] = c.units(), spent += c.cost * c.compacted();
    }
    const Index goal_now = goal.by_parameters ? goal.parameters - beyond_reach()
                                              : Index(std::floor(double(prunable) * goal.share + 0.5));
    const std::vector<Unit> units = ranked(all, true);
    for (const std::size_t g : all) groups_[g].alive.assign(groups_[g].alive.size(), 1);
    for (const Unit& u : units) {
      Candidates& c = groups_[std::size_t(u.group)];
      if (left[std::size_t(u.group)] <= 1) continue;
      if (!u.gone && 2 * (goal_now - spent) < c.cost) break;
      c.alive[std::size_t(u.index)] = 0, --left[std::size_t(u.group)], spent += c.cost;
    }
  }

  std::vector<Candidates>& groups_;
  const PrunerOptions& options_;
  std::vector<Team> teams_;
};

}  // namespace espalier::inline v0
