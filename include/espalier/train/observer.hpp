// SPDX-License-Identifier: MIT
#pragma once
#include <concepts>
#include <espalier/train/evaluation.hpp>
#include <string>

namespace espalier::inline v0 {

struct StepReport {
  Index step, steps;    ///< optimizer steps done, and asked for
  double loss;          ///< mean over the whole accumulated batch, before the step
  double rate;
  double norm;          ///< of the gradients, before clipping
  double sparsity;      ///< share of the prunable parameters that is masked
  bool skipped;         ///< the norm was not finite and nothing was changed
  Index tokens;         ///< fed in this step
  double seconds;
  Index bytes;          ///< that the model takes up: weights, what is trained with gradients and moments, scratch memory
};
struct EvaluationReport {
  Index step;
  Evaluation result;
};
struct PruneReportLine {
  Index step;
  double before, after;  ///< share of the prunable parameters that is masked
};
/// What a model takes up.
struct Footprint {
  Index parameters = 0;  ///< of the base model
  Index trained = 0;     ///< numbers in adapters
  Index bytes = 0;       ///< of both, with gradients and moments, without scratch memory
};
/// Masked units have left for good.
struct CompactionReport {
  Index step;
  Footprint before, after;
  double seconds;
};
struct CheckpointReport {
  Index step;
  std::string path;
  double seconds;
};

/// Hears nothing, and costs nothing: the device is never waited for. Observers may inherit from it and replace what
/// they need.
struct Silent {
  void on_step(const StepReport&) {}
  void on_evaluation(const EvaluationReport&) {}
  void on_prune(const PruneReportLine&) {}
  void on_compaction(const CompactionReport&) {}
  void on_checkpoint(const CheckpointReport&) {}
};

/// Who wants to know how the training goes.
template <class O>
concept Observer = requires(O& o, const StepReport& step, const EvaluationReport& evaluation,
                            const PruneReportLine& prune, const CompactionReport& compaction,
                            const CheckpointReport& checkpoint) {
  o.on_step(step);
  o.on_evaluation(evaluation);
  o.on_prune(prune);
  o.on_compaction(compaction);
  o.on_checkpoint(checkpoint);
};

}  // namespace espalier::inline v0
