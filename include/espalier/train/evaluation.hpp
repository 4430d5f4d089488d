// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#include <string>
#include <vector>

namespace espalier::inline v0 {

/// A number that says how well a task is done: "accuracy", "f1", "pearson", …
struct Metric {
  std::string name;
  double value;
};

struct Evaluation {
  double loss = 0;                   ///< mean over what was predicted, of tokens and classes in nats
  double perplexity = 0;             ///< exp(loss) where tokens are predicted, else 0
  Index tokens = 0;                  ///< how many were predicted: tokens, or labels
  std::vector<Metric> metrics = {};  ///< of tasks with labels, in the order in which they are shown
};

}  // namespace espalier::inline v0
