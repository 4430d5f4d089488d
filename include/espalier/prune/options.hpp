// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#include <espalier/nn/group.hpp>
#include <espalier/prune/budget.hpp>
#include <vector>

namespace espalier::inline v0 {

/// What competes with what.
enum class Ranking {
  local,   ///< the lowest units of every layer
  global,  ///< the lowest units over all layers, kind by kind
};

/// Whether a masked unit can come back.
enum class Revival {
  none,              ///< never
  ema,               ///< when its score recovers
  straight_through,  ///< likewise, and backward does not see the mask, so that its gradients go on as if it were there
};

inline const char* name_of(Revival revival) {
  return revival == Revival::none ? "none" : revival == Revival::ema ? "ema" : "straight_through";
}

/// By which norm each projection's scores are divided before those of a unit are added.
enum class Normalise {
  automatic,  ///< alive for local ranking, none for global
  none,
  alive,  ///< the L2 norm over the units still alive
  all,    ///< the L2 norm over all units, plus 1e-8
};

/// Of what a schedule's sparsity is a share.
enum class SparsityOf {
  prunable,  ///< the parameters of all units in layers that are not excluded
  all,       ///< all parameters of the base model
};

struct PrunerOptions {
  Granularity granularity = Granularity::groups;  ///< what leaves as one
  Index every = 10;  ///< steps between two events; the last one is where the schedule ends
  Ranking ranking = Ranking::local;
  Revival revival = Revival::none;
  Index round_to = 1;               ///< kept channels of a layer are a multiple of this; heads are not rounded
  std::vector<Index> exclude = {};  ///< layers that stay as they are; negative numbers count from the end
  Normalise normalise = Normalise::automatic;
  bool heads = true, channels = true;  ///< kinds of units that may leave
  /// What to end with; the schedule then says which share of the way there is gone.
  Target target = {};
  bool even = true;       ///< query heads: every key-value head of a layer keeps the same number
  bool uniform = false;   ///< every layer keeps the same number of each kind
  bool official = false;  ///< exactly as the published program does it, see Pruner
  Index score_every = 1;  ///< steps between two looks at the scores; events look in any case
  bool per_cost = false;  ///< with global ranking: scores divided by what a unit costs, all kinds in one ranking
  SparsityOf of = SparsityOf::prunable;
  Index min_heads = 1, min_channels = 1;  ///< units that stay in every layer (heads: key-value groups with their queries)
  double layer_floor = 0;                 ///< share of every layer's units that stays, rounded up
};

}  // namespace espalier::inline v0
