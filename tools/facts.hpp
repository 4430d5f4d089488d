// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/core/config.hpp>
#include <string>
#include <vector>

#include "keep_picture.hpp"

namespace espalier::tool {

struct GroupFacts {
  std::string kind;
  Index layer = 0, full = 0, alive = 0, cost = 0;
};

/// What a model is, counted from its tensors.
struct Facts {
  Index parameters = 0;  ///< of its file: the head of a task included, adapters not
  Index trainable = 0;
  Index macs = 0;  ///< multiplications with weights for one token, see MacBudget
  Index vocab = 0, hidden = 0, layers = 0, max_positions = 0;
  std::vector<GroupFacts> groups;

  std::vector<LayerUnits> pictured;  ///< which units each layer has, by their numbers before pruning

  /// All layers have the same number of each kind.
  bool uniform() const {
    for (const GroupFacts& a : groups)
      for (const GroupFacts& b : groups)
        if (a.kind == b.kind && a.alive != b.alive) return false;
    return true;
  }
};

/// PEFT's own line, so that logs can be compared. `all` counts adapters, too.
std::string trainable_line(Index trainable, Index all);

}  // namespace espalier::tool
