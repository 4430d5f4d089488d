// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>

namespace espalier::inline v0 {

/// What one layer has of each kind of unit, where layers differ.
struct LayerWidths {
  Index heads, groups, feed_forward;  ///< groups: key-value heads
};

}  // namespace espalier::inline v0
