// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#include <string>
#include <vector>

namespace espalier::tool {

/// Which units of one kind a layer kept, by their numbers in the model before pruning.
struct KeptUnits {
  Index full = 0;
  std::vector<int> kept;
  double share() const { return full == 0 ? 1 : double(kept.size()) / double(full); }
};

struct LayerUnits {
  Index layer = 0;
  KeptUnits heads, channels;
};

/// A row a layer: a cell for every group of heads, a strip for the channels.
std::string keep_picture(const std::vector<LayerUnits>& layers);

}  // namespace espalier::tool
