// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/adapter/low_rank.hpp>
#include <espalier/data/tokens.hpp>
#include <espalier/io/dtype_names.hpp>
#include <espalier/prune/budget.hpp>
#include <espalier/prune/latency.hpp>
#include <espalier/prune/options.hpp>
#include <espalier/prune/plan.hpp>
#include <espalier/prune/report.hpp>
#include <espalier/prune/weight_options.hpp>
#include <espalier/prune/weight_pattern.hpp>
#include <espalier/train/checkpoint.hpp>
#include <espalier/train/evaluate.hpp>
#include <espalier/train/observer.hpp>
#include <espalier/train/trainer_options.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "any_schedule.hpp"
#include "data_set.hpp"
#include "documents.hpp"
#include "facts.hpp"
#include "planned.hpp"
#include "settings.hpp"
#include "task.hpp"

namespace espalier::tool {

/// How frozen weights lie in memory.
enum class Storage { fp32, bf16 };

enum class Learns {
  adapters,    ///< beside the weights
  sequential,  ///< adapters behind them
  full,        ///< the weights themselves
};

/// Where a model computes, how its weights lie there, and what learns: what the tool chooses by type. On a GPU, weights in
/// bf16 mean activations in bf16.
struct Placement {
  Storage weights = Storage::fp32;
  bool cuda = false;
  Learns learns = Learns::adapters;
};

/// What to train, and what to prune while training; plain data.
struct FitPlan {
  AdamWOptions adamw;
  BatchOptions batches;
  TrainerOptions trainer;  ///< the rate's steps, and what is measured on the way, are filled in
  std::optional<DataSet> validation;
  EvaluateOptions evaluate;
  bool prune = false;
  std::string criterion = "lora", power = "square";
  std::uint64_t seed = 0;
  bool recompute = false;
  double warmup_share = 0;  ///< of the rate: share of the steps; 0: trainer.rate.warmup says
  double eta = 1, input_decay = 1, damp = 0.01;
  bool scaled = false, update_weights = false;
  double ema = 0.9, warmup = 0.1, cooldown = 0.1, sparsity = 0.5;
  bool linear = false;
  PrunerOptions pruner;
  std::optional<WeightPattern> weights;  ///< single weights leave, instead of groups
  WeightPrunerOptions weight_pruner;
  TargetRequest target;    ///< the pruner's target is made from it, for the model at hand
  LatencyOptions latency;
  std::optional<LatencyFit> timed;  ///< for a target in seconds: the MACs that take so long
  std::string resume;        ///< folder whose newest good checkpoint is taken up; empty: start anew
  std::string end_to;        ///< folder for a checkpoint when training ends or is asked to stop; empty: none is written
  Index shared_steps = 0;    ///< taken before the pruner came, see recall()
};

/// Once through the data.
struct Epoch {
  Index samples = 0;  ///< windows, or examples
  Index fed = 0;      ///< tokens in windows, padding left out; 0: not counted
};

/// Whoever follows a run. stop() is asked after every step.
class Follower {
 public:
  virtual ~Follower() = default;
  virtual void started(Index steps, Index from, AnySchedule schedule, Index prunable) = 0;
  virtual void on_step(const StepReport&) = 0;
  virtual void on_evaluation(const EvaluationReport&) = 0;
  virtual void on_compaction(const CompactionReport&) = 0;
  virtual void on_checkpoint(const CheckpointReport&) = 0;
  virtual void note(const std::string&) = 0;
  virtual bool stop() = 0;
};

struct FitResult {
  TrainingSummary summary;
  std::optional<PruneReport> pruned;
  std::optional<Plan> plan;
  PrunerOptions pruner;    ///< with the target that was in force
  std::string checkpoint;  ///< of the last step; empty: none could be written, or none was asked for
};

/// What units were worth before anything was trained.
struct Scored {
  double loss = 0;                         ///< mean over the batches
  std::vector<std::optional<Plan>> plans;  ///< one for each share; none: it is out of reach
  std::vector<std::string> warnings;
};

struct Written {
  std::string layout, model_type;
  Index parameters = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> notes;
};

/// A model whose types have been chosen. The only place where the tool's verbs and the library's templates meet: a call
/// is a whole run, evaluation or file, so that being virtual costs nothing.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual Storage storage() const = 0;
  virtual Facts facts() = 0;
  virtual double count(const Budget&) = 0;
  virtual std::string source_hash() = 0;
  /// A file of data, as this model reads it: texts have at most so many tokens.
  virtual DataSet read(const std::string& path, Index length, const DocumentRequest& = {}) = 0;
  virtual void check(const DataSet&) = 0;  ///< refuses what the model has no place for
  virtual Evaluation evaluate(const DataSet&, const EvaluateOptions&) = 0;
  /// Of one forward run over a sequence of so many tokens, or an image.
  virtual double forward_seconds(const DataSet&, Index length) = 0;
  virtual Epoch epoch(const DataSet&, const BatchOptions&) = 0;
  virtual std::string auto_class() = 0;  ///< of transformers, for what is saved
  virtual std::vector<float> logits(std::span<const int> tokens, Shape shape) = 0;
  virtual FitResult fit(const FitPlan&, const DataSet&, Follower&) = 0;
  /// Adapters and moments as they are now, and back into a model that was opened in the same way, after so many steps.
  virtual std::shared_ptr<const TrainingState> remember() = 0;
  virtual void recall(const TrainingState&, Index steps) = 0;
  /// Scores of every unit by so many batches, and what each share would remove by them; no weight is changed. Criteria that
  /// read the weights alone need no data.
  virtual Scored score(const FitPlan&, const DataSet*, Index batches, const std::vector<double>& shares) = 0;
  /// What pruning comes to; refuses what cannot be reached, or not be written.
  virtual PruneReport foresee(const FitPlan&) = 0;
  /// Measures models of different size that are cut to shape, until one takes as long as was asked for.
  virtual LatencyFit time_to(const FitPlan&) = 0;
  virtual void merge() = 0;             ///< W0 + s B A, or what was learnt in full
  virtual void compact() = 0;           ///< masked units leave
  /// After merge(): what masks have made zero are zeros like any other from now on, as in a file that is read back.
  virtual void drop_weight_masks() = 0;
  virtual void round(Dtype dtype) = 0;  ///< numbers become what a file of this type can hold
  virtual Written save(const std::string& directory, const std::string& layout, std::optional<Dtype>, bool overwrite,
                       const Plan*) = 0;
  virtual Written save_gguf(const std::string& path, const std::string& layout, std::optional<Dtype>, bool overwrite) = 0;
  virtual void load_adapter(const std::string& directory) = 0;
  virtual void save_adapter(const std::string& directory, bool overwrite) = 0;
};

/// The checkpoint's own storage, unless --weights says otherwise; where --device says; and what --tuning says.
Placement placement_for(const Settings&);
/// The number format in which a checkpoint stores its embedding.
Dtype stored_dtype(const std::string& directory);

/// The engine of the family that config.json names. Of the options a model that learns in full reads the targets.
std::unique_ptr<Engine> open_engine(Placement where, const std::string& directory, const LowRankOptions& options,
                                    std::uint64_t seed = 0, const TaskRequest& = {});

/// Options that give no projection an adapter.
inline LowRankOptions no_adapters() {
  LowRankOptions none;
  none.rank = 1, none.targets = {"\n"};
  return none;
}

}  // namespace espalier::tool
