// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <chrono>
#include <espalier/adapter/initialise.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>
#include <espalier/model/save_gguf.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/train/evaluate.hpp>
#include <espalier/train/trainer.hpp>
#include <map>
#include <type_traits>
#include <utility>

#include "any_pruner.hpp"
#include "any_schedule.hpp"
#include "count_facts.hpp"
#include "criteria.hpp"
#include "open_engine.hpp"
#include "reading.hpp"

namespace espalier::tool {

/// The engine of one family of models on one device, with one kind of adapters. Instantiated once each, in engines/.
template <class DeviceType, class Family, template <class> class Adapter>
class EngineOf final : public Engine {
 public:
  using Device = DeviceType;
  using Model = ModelOf<Device, Adapter, Family>;
  using Read = Reading<Model>;
  static constexpr bool kPeft = std::is_same_v<Adapter<Device>, LowRankAdapter<Device>>;  ///< as it can be told to others

  EngineOf(const std::string& directory, const LowRankOptions& options, std::uint64_t seed, const TaskRequest& task)
      : directory_(directory), model_(Read::load(device_, directory, adapted(options), seed, task)) {}

  Storage storage() const override { return std::is_same_v<typename Device::Weight, float> ? Storage::fp32 : Storage::bf16; }
  Facts facts() override { return facts_of(model_); }
  double count(const Budget& budget) override { return espalier::count(budget, model_); }
  std::string source_hash() override { return model_.source.sha256(); }

  DataSet read(const std::string& path, Index length, const DocumentRequest& documents) override {
    return Read::read(model_, path, length, documents);
  }
  void check(const DataSet& data) override { Read::check(model_, data); }
  Evaluation evaluate(const DataSet& data, const EvaluateOptions& o) override { return Read::evaluate(model_, data, o); }
  double forward_seconds(const DataSet& data, Index length) override {
    const auto begin = std::chrono::steady_clock::now();
    Read::once(model_, &data, length);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  Epoch epoch(const DataSet& data, const BatchOptions& o) override { return Read::epoch(Read::batches(data, o)); }
  std::string auto_class() override { return Read::kClass; }
  std::vector<float> logits(std::span<const int> tokens, Shape shape) override {
    if constexpr (EncoderFamily<Family>) {
      fail(Errc::unsupported, "logits of tokens are asked of models of language");
    } else {
      const auto numbers = model_.logits(tokens, shape);
      return {numbers.begin(), numbers.end()};
    }
  }

  FitResult fit(const FitPlan& p, const DataSet& data, Follower& follower) override {
    Read::recompute(model_, p.recompute);
    AdamW<Model> optimizer(model_, p.adamw);
    const auto batches = Read::batches(data, p.batches);
    const Index shared = p.shared_steps, pruned = std::max<Index>(1, batches.steps() - shared);
    const auto schedule =  // of the steps that the pruner sees
        !p.prune      ? AnySchedule{}
        : shared == 0 ? AnySchedule::over(pruned, p.sparsity, p.warmup, p.cooldown, p.linear)
                      : AnySchedule::over(pruned, p.sparsity, 0, p.cooldown * double(batches.steps()) / double(pruned), p.linear);
    AnyPruner pruner = pruner_of(p, schedule);
    FitResult result = run(p, optimizer, pruner, batches, follower, schedule);
    result.pruned = pruner.report(), result.plan = pruner.plan(), result.pruner = pruner.options();
    for (const std::string& warning : pruner.warnings()) follower.note(warning);
    return result;
  }

  std::shared_ptr<const TrainingState> remember() override {
    const AdamW<Model> optimizer(model_);  // whose moments have places then
    AnyPruner none;
    return std::make_shared<const TrainingState>(take_state(model_, none));
  }
  void recall(const TrainingState& state, Index steps) override {
    const AdamW<Model> optimizer(model_);
    AnyPruner none;
    put_state(state, model_, none);
    model_.run.step.step = std::uint32_t(steps);
    model_.run.restore();
  }

  /// The pruners that a run would have, up to their first event: they see the same batches, and choose from the same scores.
  Scored score(const FitPlan& asked, const DataSet* data, Index batches, const std::vector<double>& shares) override {
    FitPlan p = asked;
    p.prune = true, p.update_weights = false, p.pruner.every = batches, p.batches.steps = batches;
    Scored out;
    auto& arena = model_.run.arena;
    const auto pass = [&](Index at) {
      if (data == nullptr) return 0.0;
      auto source = Read::batches(*data, p.batches);
      source.prepare(at);
      using A = typename Device::Accumulate;
      if (arena.size() > 0) device_.for_each(arena.size(), kernel::Fill<A>{arena.grad(), A(0)});
      return double(model_.loss(source[0]));
    };
    const auto choosing = [&](double share) {
      p.sparsity = share;
      return pruner_of(p, AnySchedule{.begin = 0, .end = double(batches), .sparsity = share, .linear = true});
    };
    std::map<std::string, std::vector<double>> seen;
    {
      AnyPruner pruner = choosing(asked.sparsity);
      for (Index k = 0; k + 1 < batches; ++k) out.loss += pass(k) / double(batches), pruner.step();
      pruner.visit_state([&](const std::string& name, std::vector<double>& numbers) { seen[name] = numbers; });
    }
    bool added = false;  // the loss of the last batch
    for (const double share : shares) {
      AnyPruner pruner;
      try {
        pruner = choosing(share);
      } catch (const Error&) {
        if (share == asked.sparsity) throw;
        out.plans.push_back(std::nullopt);
        continue;
      }
      pruner.visit_state([&](const std::string& name, std::vector<double>& numbers) { numbers = seen.at(name); });
      const double loss = pass(batches - 1);
      pruner.step();
      out.plans.push_back(pruner.plan());
      if (!std::exchange(added, true)) out.loss += loss / double(batches);
      if (share == asked.sparsity) out.warnings = pruner.warnings();
      model_.groups([&](auto group) { group.mask->set(device_, std::vector<std::uint8_t>(std::size_t(group.units()), 1)); });
    }
    return out;
  }

  PruneReport foresee(const FitPlan& p) override {
    const bool units = p.prune && !p.weights;  // else all stay, and what is asked is whether they can be written
    return planned<Family>(model_.config, model_.source, options_of(p), units ? p.sparsity : 0, p.target).report;
  }
  LatencyFit time_to(const FitPlan& p) override {
    PrunerOptions options = options_of(p);
    const auto shaped = [&](double left) {
      options.target.left = left;
      return planned<Family>(model_.config, model_.source, options, 0.5, p.target);
    };
    const PruneReport range = shaped(options.target.left).report;
    const Index length = p.batches.length;
    const auto clock = [] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    };
    const auto seconds_of = [&](double left) {
      Model shape(device_, shaped(left).stored, adapted(no_adapters()));
      for_each_tensor(shape, [&](const std::string&, auto& t) {  // how long a product takes, small numbers must not say
        using T = std::remove_pointer_t<decltype(t.view().data)>;
        const std::vector<T> numbers(std::size_t(t.size()), T(0.01f));
        device_.upload(t.view().data, numbers.data(), t.size());
      });
      return median_seconds([&] {
        Read::once(shape, nullptr, length);
      }, clock, p.latency);
    };
    return fit_latency(p.target.seconds, range.least, range.dense, seconds_of, p.latency);
  }

  void merge() override { espalier::merge(model_); }
  void compact() override { espalier::compact(model_); }
  void drop_weight_masks() override {
    for_each_projection(model_, [](const std::string&, auto& p) { p.weight_mask = {}; });
  }

  void round(Dtype dtype) override {
    for_each_tensor(model_, [&](const std::string&, auto& tensor) {
      auto* const data = tensor.view().data;
      using T = std::remove_pointer_t<decltype(data)>;
      std::vector<T> numbers(std::size_t(tensor.size()));
      device_.download(data, numbers.data(), tensor.size());
      for (T& number : numbers) {
        const float x = float(number);
        if (dtype == Dtype::bf16) number = T(float(BFloat16(x)));
        if (dtype == Dtype::f16) number = T(float(Half(x)));
      }
      device_.upload(data, numbers.data(), tensor.size());
    });
  }

  Written save(const std::string& directory, const std::string& layout, std::optional<Dtype> dtype, bool overwrite,
               const Plan* plan) override {
    SaveOptions o;
    o.layout = layout_called(layout), o.dtype = dtype, o.overwrite = overwrite, o.plan = plan;
    return written(espalier::save(model_, directory, o));
  }
  Written save_gguf(const std::string& path, const std::string& layout, std::optional<Dtype> dtype, bool overwrite) override {
    if constexpr (EncoderFamily<Family>) {
      fail(Errc::unsupported, "{}: a GGUF is written of models of language; an encoder goes out as a directory", path);
    } else {
      return written(espalier::save_gguf(model_, path, {.layout = layout_called(layout), .dtype = dtype, .overwrite = overwrite}));
    }
  }
  void load_adapter(const std::string& directory) override {
    if constexpr (kPeft) espalier::load_adapter(model_, directory);
    else fail(Errc::unsupported, "{}: an adapter of PEFT stands beside the weights, where this model learns otherwise: merge it first", directory);
  }
  void save_adapter(const std::string& directory, bool overwrite) override {
    if constexpr (kPeft) espalier::save_adapter(model_, directory, {.overwrite = overwrite});
    else fail(Errc::unsupported, "{}: what was learnt is no adapter that PEFT knows: merge it and save the model", directory);
  }

 private:
  /// What the adapters at hand know of these.
  static typename Model::AdapterOptions adapted(const LowRankOptions& options) {
    if constexpr (has_low_rank<Model>) return options;
    else return {.targets = options.targets};
  }
  static Layout layout_called(const std::string& name) {
    for (const Layout l : {Layout::uniform, Layout::padded, Layout::compact})
      if (name == name_of(l)) return l;
    return Layout::automatic;
  }
  static Written written(const SaveReport& r) { return {std::string(name_of(r.layout)), r.model_type, r.parameters, r.bytes, r.notes}; }

  PrunerOptions options_of(const FitPlan& p) {
    PrunerOptions options = p.pruner;
    options.target = target_of<Family>(p.target, model_.config, model_.source, options);
    if (p.target.seconds > 0)  // until it is measured, or a checkpoint says what was, nothing leaves
      options.target.left = p.timed ? p.timed->left : count(options.target.budget);
    return options;
  }
  AnyPruner pruner_of(const FitPlan& p, const AnySchedule& schedule) {
    if (!p.prune) return {};
    return p.weights ? weight_pruner(model_, p, schedule) : unit_pruner(model_, p, schedule, options_of(p));
  }
  FitResult run(const FitPlan& p, AdamW<Model>& optimizer, AnyPruner& pruner, const auto& batches, Follower& follower,
                AnySchedule schedule) {
    TrainerOptions options = p.trainer;
    if (p.validation) options.validation = [&] { return Read::evaluate(model_, *p.validation, p.evaluate); };
    options.rate.steps = batches.steps();
    if (p.warmup_share > 0) options.rate.warmup = Index(p.warmup_share * double(batches.steps()) + 0.5);
    const std::string periodic = options.checkpoints;
    if (!p.resume.empty()) options.checkpoints = p.resume;
    Trainer trainer(model_, optimizer, pruner, batches, options);
    FitResult result;
    Index from = 0;
    if (!p.resume.empty()) {
      const auto resumed = trainer.resume();
      if (!resumed) fail(Errc::bad_input, "{}: there is no checkpoint to go on from", p.resume);
      for (const std::string& note : resumed->notes) follower.note(note);
      from = resumed->step, result.checkpoint = resumed->path;
    }
    trainer.options.checkpoints = periodic;
    follower.started(trainer.steps(), from, schedule, pruner.report().prunable);
    using Run = decltype(trainer);
    struct Relay {
      Follower& follower;
      Run& trainer;
      std::string& checkpoint;
      void on_step(const StepReport& r) {
        checkpoint.clear();
        follower.on_step(r);
        if (follower.stop()) trainer.stop();
      }
      void on_evaluation(const EvaluationReport& r) { follower.on_evaluation(r); }
      void on_prune(const PruneReportLine&) {}
      void on_compaction(const CompactionReport& r) { follower.on_compaction(r); }
      void on_checkpoint(const CheckpointReport& r) { checkpoint = r.path, follower.on_checkpoint(r); }
    } relay{follower, trainer, result.checkpoint};
    result.summary = trainer.run(relay);
    if (result.checkpoint.empty() && !p.end_to.empty()) {
      trainer.options.checkpoints = p.end_to;
      result.checkpoint = last_checkpoint(trainer, follower, result.summary.stopped);
    }
    return result;
  }
  /// A run that has ended has its result still to write, which may go where its checkpoint, three times an adapter, does not.
  static std::string last_checkpoint(auto& trainer, Follower& follower, bool stopped) {
    try {
      return trainer.save();
    } catch (const Error& error) {
      if (stopped || error.code() != Errc::resources) throw;
      follower.note(format("the last checkpoint could not be written, the result comes without it: {}", error.what()));
    }
    return "";
  }

  std::string directory_;
  Device device_;
  Model model_;
};

template <class Device, class Family, template <class> class Adapter = LowRankAdapter>
std::unique_ptr<Engine> engine_of(const std::string& directory, const LowRankOptions& options, std::uint64_t seed, const TaskRequest& task) {
  return std::make_unique<EngineOf<Device, Family, Adapter>>(directory, options, seed, task);
}

}  // namespace espalier::tool
