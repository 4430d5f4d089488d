// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/adapter/targets.hpp>
#include <espalier/core/config.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::inline v0 {

/// How A starts. B starts at zero, so that a fresh adapter changes nothing.
enum class AdapterInit {
  peft,      ///< A uniform in ±1/√in
  gaussian,  ///< A normal with standard deviation 1/rank
};

struct LowRankOptions {
  Index rank = 8;
  double alpha = 16;
  double dropout = 0;            ///< on the adapter's input, in [0, 1)
  bool rank_stabilised = false;  ///< s = alpha/√rank instead of alpha/rank                     Kalajdzievski 2023
  AdapterInit init = AdapterInit::peft;
  /// Names of linear maps, e.g. "q_proj" or "layers.0.self_attn.q_proj"; empty: every linear map of the blocks.
  std::vector<std::string> targets = {};

  bool matches(std::string_view path) const { return is_target(targets, path); }
  double scale() const { return rank_stabilised ? alpha / std::sqrt(double(rank)) : alpha / double(rank); }
};

}  // namespace espalier::inline v0
