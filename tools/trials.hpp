// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "arm.hpp"
#include "comparison.hpp"
#include "engine.hpp"
#include "settings.hpp"

namespace espalier::tool {

/// What came of an arm: counted from the tensors that were left, and measured.
struct Trial {
  Arm arm;
  double reached = 0;  ///< share of the prunable parameters that has left
  Index parameters = 0, macs = 0;
  Evaluation evaluation = {};       ///< on the held-out data
  double latency = 0, dense_latency = 0;  ///< milliseconds, medians of runs in turn
  double seconds = 0;               ///< that the arm took, what it shares with others left out
  std::vector<std::string> warnings = {};  ///< such as masks that had to wait

  json::Value json() const;
  static Trial from(const json::Value&);
};

/// Runs arms. All arms of a seed begin with the same steps without pruning, which are run once and taken up from there.
class Trials {
 public:
  /// dense: the model as it was read.
  Trials(const Request&, const DataSet& data, const DataSet& val, std::unique_ptr<Engine> dense);

  std::string source_hash() const { return dense_->source_hash(); }
  Index steps() const { return steps_; }
  Index shared_steps() const { return shared_; }
  /// stop() is asked after every step; nothing comes back when it said yes.
  std::optional<Trial> run(const Arm&, const std::function<bool()>& stop);

 private:
  FitPlan plan(const Arm&) const;
  bool share(Index seed, const std::function<bool()>& stop);

  const Request& request_;
  const DataSet &data_, &val_;
  Placement placement_;
  Index steps_ = 0, shared_ = 0;
  std::unique_ptr<Engine> dense_;                ///< as it was read: what latencies are compared with
  std::shared_ptr<const TrainingState> begin_;  ///< after the shared steps
  Index begin_seed_ = -1;
};

}  // namespace espalier::tool
