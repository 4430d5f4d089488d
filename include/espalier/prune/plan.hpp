// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// What is kept of one group, in the numbers of the model before any compaction.
struct PlanGroup {
  std::string kind;            ///< "heads", "queries" or "channels"
  Index layer = 0;
  Index full = 0;              ///< units before pruning
  std::vector<int> kept;       ///< numbers of the units that stay, ascending
  std::vector<double> scores;  ///< (full) the smoothed score of every unit, as it was when it was last known
};

/// How many single weights of a projection are zero.
struct PlanWeights {
  std::string projection;  ///< its path in the model
  Index full = 0, removed = 0;
};

/// What a pruning run decided, as plain data.
struct Plan {
  std::vector<PlanGroup> groups;
  std::vector<PlanWeights> weights = {};
  std::vector<std::pair<std::string, std::string>> settings = {};  ///< of the run, in the order they were told
};

/// f(name, value) for whoever tells settings: into a plan.
struct ToldPlan {
  Plan& plan;
  void operator()(const std::string& name, const std::string& value) const { plan.settings.emplace_back(name, value); }
};

}  // namespace espalier::inline v0
