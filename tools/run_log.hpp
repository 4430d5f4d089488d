// SPDX-License-Identifier: MIT
#pragma once
#include <chrono>
#include <cstdio>
#include <espalier/io/json.hpp>
#include <string>
#include <vector>

#include "chart.hpp"
#include "console.hpp"
#include "engine.hpp"
#include "table.hpp"

namespace espalier::tool {

/// Steps between two events after which units left memory, and what one of them took.
struct Stretch {
  Index from = 0;          ///< first step
  Index parameters = 0;    ///< of the base model
  Index bytes = 0;         ///< the most that the model took up
  std::vector<double> ms;  ///< of each step
  double median() const;
};

/// What a run said, step by step: on the console, in metrics.jsonl, and remembered for the report.
class RunLog final : public Follower {
 public:
  /// `parameters`: of the model before pruning. An empty path writes no file.
  RunLog(const Console&, std::string metrics_path, Index log_every, Index parameters, bool prunes);
  ~RunLog() override;
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  bool begun() const { return steps_ > 0; }
  void started(Index steps, Index from, AnySchedule schedule, Index prunable) override;
  void on_step(const StepReport&) override;
  void on_evaluation(const EvaluationReport&) override;
  void on_compaction(const CompactionReport&) override;
  void on_checkpoint(const CheckpointReport&) override;
  void note(const std::string&) override;
  bool stop() override;
  void finish();  ///< the last line is on disk

  std::vector<Chart> charts() const;
  /// What steps took before and after units left. Nothing where none did.
  Table stretches() const;
  json::Value stretches_json() const;
  std::string stretches_line() const;
  double mean_step_seconds() const { return steps_timed_ == 0 ? 0 : seconds_ / double(steps_timed_); }
  double tokens_per_second() const { return seconds_ == 0 ? 0 : double(tokens_) / seconds_; }

 private:
  using Clock = std::chrono::steady_clock;
  void take_up(Index from);
  void remember(const json::Value& line);
  void flush();
  std::string line(const StepReport&) const;

  const Console& console_;
  std::string path_;
  Index log_every_, parameters_, prunable_ = 0, steps_ = 0, from_ = 0;
  bool prunes_;
  AnySchedule schedule_{};
  std::FILE* file_ = nullptr;
  json::Value pending_;  ///< the line of this step, until it is known whether an evaluation follows
  double last_val_ = 0, seconds_ = 0, smooth_ = 0;
  bool has_val_ = false;
  Index steps_timed_ = 0, tokens_ = 0;
  Clock::time_point last_status_{};
  std::vector<Stretch> stretches_;
  std::vector<Point> loss_, val_loss_, perplexity_, sparsity_, rate_;
};

}  // namespace espalier::tool
