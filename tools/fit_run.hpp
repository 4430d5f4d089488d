// SPDX-License-Identifier: MIT
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "comparison.hpp"
#include "console.hpp"
#include "engine.hpp"
#include "interrupt.hpp"
#include "report.hpp"
#include "run_directory.hpp"
#include "run_log.hpp"
#include "run_record.hpp"

namespace espalier::tool {

/// What train, prune and demo have in common: read, train, and keep a run directory, in steps that the verbs call in
/// order.
class FitRun {
 public:
  /// Reads and checks everything, and writes nothing. Says the settings and what is trainable.
  FitRun(const Request&, const Console&);

  const DataSet& data() const { return *data_; }
  const DataSet& val() const { return *val_; }
  const std::string& val_source() const { return val_source_; }
  const Facts& dense() const { return dense_; }
  const Evaluation& before() const { return before_; }
  const FitResult& result() const { return result_; }
  const RunLog& log() const { return *log_; }
  Engine& engine() { return *engine_; }
  std::unique_ptr<Engine> release() { return std::move(engine_); }
  const RunDirectory& directory() const { return directory_; }
  RunRecord& record() { return record_; }
  const std::optional<LatencyFit>& timed() const { return plan_.timed; }
  Placement placement() const { return placement_; }

  /// What --dry-run prints: steps, and what will be asked for.
  json::Value forecast() const;
  /// Evaluates, trains, prunes. False: interrupted; the checkpoint is written and the way to go on is said.
  bool fit();
  /// What comes after the last step, up to close(): the exit code. Until then the checkpoint of the last step stays, so that
  /// nothing that happens loses the training: run.json says how it ended, and the way to go on is said.
  int finish(const std::function<void()>& rest);
  /// Between two parts of that: says what comes next, or ends it if somebody has asked to.
  void stage(const std::string& what) const;
  /// Title page, curves and settings of the report; comparison and picture are the verb's.
  Report report(const std::string& title) const;
  /// Which units are left, as the trained model knows them.
  void picture(const Facts& facts) { pictured_ = facts.pictured; }
  const std::vector<LayerUnits>& pictured() const { return pictured_; }
  /// run.json and report.html; a checkpoint that nobody asked for has done its work.
  void close(const json::Value& result, const Report& report);

 private:
  struct Interrupted {};

  void foresee();
  int interrupted_run();
  [[noreturn]] void failed();
  std::string way_on() const;
  void mark(const std::string& status);

  const Request& request_;
  const Console& console_;
  RunDirectory directory_;
  RunRecord record_;
  Placement placement_;
  std::optional<DataSet> data_, val_;
  std::string val_source_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<RunLog> log_;
  FitPlan plan_;
  Index steps_ = 0;
  Facts dense_;
  std::optional<PruneReport> foreseen_;
  Evaluation before_;
  FitResult result_;
  std::vector<LayerUnits> pictured_;
  std::optional<Interruptible> interruptible_;  ///< from the first step on
  bool closed_ = false;
};

/// The settings as a table of two columns of pairs.
std::string settings_table(const Request&);

}  // namespace espalier::tool
