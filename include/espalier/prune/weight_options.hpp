// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/options.hpp>
#include <string>
#include <vector>

namespace espalier::inline v0 {

struct WeightPrunerOptions {
  Index every = 10;                      ///< steps between two events; the last one is where the schedule ends
  Revival revival = Revival::none;       ///< ema: a weight comes back when its score recovers
  std::vector<Index> exclude = {};       ///< layers that stay as they are; negative numbers count from the end
  std::vector<std::string> targets = {}; ///< projections by the end of their names, e.g. "q_proj"; none: all of the blocks
};

}  // namespace espalier::inline v0
