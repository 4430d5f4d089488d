// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/train/observer.hpp>
#include <string>
#include <vector>

namespace espalier::test {

/// What came of the README's program, on whatever device.
struct ModelRun {
  std::vector<double> losses, norms;
  std::vector<std::vector<int>> kept;  // of every group
  long replays = 0;                    // of recorded launches, while it was trained
  double masked = 0, merged = 0, compacted = 0, reloaded = 0;  // loss of held-out text after each of these
};

/// Follows a run.
struct Listener : Silent {
  ModelRun& run;
  explicit Listener(ModelRun& r) : run(r) {}
  void on_step(const StepReport& r) { run.losses.push_back(r.loss), run.norms.push_back(r.norm); }
};

/// Fine-tunes the demo's model on a device, prunes half of it, merges, compacts, saves and loads it again.
ModelRun run_on_cpu(const std::string& model, const std::string& scratch);
ModelRun run_in_fp32(const std::string& model, const std::string& scratch);
ModelRun run_in_bf16(const std::string& model, const std::string& scratch);

}  // namespace espalier::test
