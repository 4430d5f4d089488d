// SPDX-License-Identifier: MIT
#pragma once

namespace espalier::inline v0 {

/// Whether any projection of these parts of a block is trained, or watched by a probe: gradients have to reach it.
template <class... Part>
bool any_learns(const Part&... parts) {
  bool any = false;
  const auto look = [&](const auto& projection) { any = any || projection.adapter.active() || projection.probe; };
  (parts.projections(look), ...);
  return any;
}

}  // namespace espalier::inline v0
