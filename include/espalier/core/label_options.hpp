// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <string>

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
  bool new_head = false;  ///< asked of load(): the map onto labels starts at random even where the files have one

  Problem kind() const { return problem != Problem::automatic ? problem : count == 1 ? Problem::regression : Problem::one_label; }
};
/// "classification with 3 labels"
inline std::string shown(const LabelOptions& labels) {
  constexpr const char* kinds[] = {"", "regression", "classification", "classification, several may hold,"};
  return format("{} with {} label{}", kinds[int(labels.kind())], labels.count, labels.count == 1 ? "" : "s");
}

}  // namespace espalier::inline v0
