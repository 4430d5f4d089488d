// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/train/observer.hpp>
#include <functional>
#include <vector>

namespace espalier::test {

/// Keeps everything that it is told; `then` is called after each step.
struct TrainingLog : Silent {
  std::vector<StepReport> steps;
  std::vector<EvaluationReport> evaluations;
  std::vector<PruneReportLine> prunes;
  std::vector<CompactionReport> compactions;
  std::vector<CheckpointReport> checkpoints;
  std::function<void(const StepReport&)> then;

  void on_step(const StepReport& r) {
    steps.push_back(r);
    if (then) then(r);
  }
  void on_evaluation(const EvaluationReport& r) { evaluations.push_back(r); }
  void on_prune(const PruneReportLine& r) { prunes.push_back(r); }
  void on_compaction(const CompactionReport& r) { compactions.push_back(r); }
  void on_checkpoint(const CheckpointReport& r) { checkpoints.push_back(r); }
  std::vector<double> losses() const {
    std::vector<double> all;
    for (const auto& s : steps) all.push_back(s.loss);
    return all;
  }
};

}  // namespace espalier::test
