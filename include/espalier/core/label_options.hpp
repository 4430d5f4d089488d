// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>

namespace espalier::inline v0 {

/// What is asked of a sequence or an image, as `problem_type` has it.
enum class Problem {
  automatic,       ///< regression for a single label, else one_label
  regression,      ///< numbers: mean squared error
  one_label,       ///< one class of several: cross-entropy
  several_labels,  ///< each may hold or not: binary cross-entropy
};

struct LabelOptions {
  Index count = 2;
  Problem problem = Problem::automatic;

  Problem kind() const { return problem != Problem::automatic ? problem : count == 1 ? Problem::regression : Problem::one_label; }
};

}  // namespace espalier::inline v0
