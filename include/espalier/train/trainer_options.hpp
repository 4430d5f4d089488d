// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/train/adamw.hpp>
#include <espalier/train/evaluation.hpp>
#include <espalier/train/learning_rate.hpp>
#include <functional>
#include <string>
#include <vector>

namespace espalier::inline v0 {

/// What happens when the norm of the gradients is not finite.
enum class NonFinite {
  skip,  ///< the step changes nothing and is counted
  stop,  ///< Errc::numerical; the weights are as they were before the step
};

/// What becomes of masked units while a run goes on.
enum class Compaction {
  none,  ///< they stay, masked, until somebody calls compact
  live,  ///< they leave after the step in which they were masked: the same run, and every step after it costs less
};

struct TrainerOptions {
  LearningRate rate = {};
  double max_norm = 1;  ///< of the gradients; 0: no clipping
  NonFinite non_finite = NonFinite::skip;
  Compaction compact = Compaction::none;

  /// What is measured on the way, e.g. [&] { return evaluate(model, text, {.length = 128}); }
  std::function<Evaluation()> validation = {};
  Index evaluate_every = 0;  ///< steps; 0: never

  std::string checkpoints = {};  ///< folder; empty: none are written
  Index checkpoint_every = 0;    ///< steps; 0: at the end and when stopped
  Index keep = 2;                ///< checkpoints, at least 2

  /// Whatever else must be equal when a run is resumed (the configuration, the pruner's settings), as text.
  std::string identity = {};
};

/// Steps that were taken, and whether somebody asked to stop.
struct TrainingSummary {
  Index step = 0;
  Index skipped = 0;
  double sparsity = 0;
  bool stopped = false;
};

/// Where a run was taken up again, and what has to be said about it (damaged checkpoints, other versions).
struct Resumed {
  Index step = 0;
  std::string path;
  std::vector<std::string> notes;
};

/// No pruning.
struct NoPruner {
  double step() { return 0; }
  template <class F>
  void visit_state(F&&) {}
};

}  // namespace espalier::inline v0
