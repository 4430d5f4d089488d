// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <ctime>
#include <espalier/data/batches.hpp>
#include <espalier/kernel/loss.hpp>
#include <espalier/train/adamw.hpp>
#include <espalier/train/checkpoint.hpp>
#include <espalier/train/checkpoint_directory.hpp>
#include <espalier/train/clip.hpp>
#include <espalier/train/live_compaction.hpp>
#include <espalier/train/manifest.hpp>
#include <espalier/train/observer.hpp>
#include <espalier/train/trainer_options.hpp>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// The loop: backward over the accumulated batches, clip, prune, optimize, and let masked units leave; now and then
/// evaluate and write a checkpoint. A resumed run ends in the same bits as one that was never interrupted.
///
/// Batches come from any source, see data/batch_source.hpp; what it offers has to be what the model's loss() takes.
///
///     Trainer trainer(model, optimizer, pruner, data.batches({.steps = 400}), {.rate = {.peak = 1e-4}});
///     trainer.run(observer);
template <class Model, class Pruner = NoPruner, BatchSource Source = Batches>
class Trainer {
 public:
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;

  Trainer(Model& model, AdamW<Model>& optimizer, Pruner& pruner, Source batches, const TrainerOptions& o = {})
      : options(o), model_(model), optimizer_(optimizer), pruner_(pruner), batches_(std::move(batches)) {
    require(o.max_norm >= 0 && o.evaluate_every >= 0 && o.checkpoint_every >= 0,
            "trainer: max_norm {}, evaluate_every {}, checkpoint_every {}; none may be negative", o.max_norm,
            o.evaluate_every, o.checkpoint_every);
    require(o.evaluate_every == 0 || o.validation, "trainer: evaluate_every is {} but there is nothing to evaluate on",
            o.evaluate_every);
    require(o.checkpoint_every == 0 || !o.checkpoints.empty(),
            "trainer: checkpoint_every is {} but checkpoints names no folder", o.checkpoint_every);
    if (o.compact == Compaction::live) detail::require_final(pruner);
    // A resumed run holds the base it has read against this one, before any of its weights changes.
    if constexpr (requires { pruner.changes_weights(); })
      if (pruner.changes_weights()) base();
    batches_.check(model.config);
    bytes_ = footprint(model).bytes;
    model.groups([this](auto&& group) { masks_.push_back(group.mask); });
  }
  Trainer(Model& model, AdamW<Model>& optimizer, Source batches, const TrainerOptions& o = {})
    requires std::is_same_v<Pruner, NoPruner>
      : Trainer(model, optimizer, none_, std::move(batches), o) {}

  Index step() const { return Index(model_.run.step.step); }
  Index steps() const { return batches_.steps(); }
  Source& batches() { return batches_; }
  double sparsity() const { return sparsity_; }

  /// Ends the run, or the next one, after the current step, with a checkpoint. May be called from a signal handler.
  void stop() noexcept { stop_.store(true, std::memory_order_relaxed); }

  template <Observer O>
  TrainingSummary run(O& observer) {
    Index written = -1;
    while (step() < steps() && !stop_.load(std::memory_order_relaxed)) {
      one_step(observer);
      const auto due = [&](Index every) { return every > 0 && step() % every == 0; };
      if (due(options.evaluate_every))
        observer.on_evaluation({step(), options.validation()});
      if (due(options.checkpoint_every)) save(observer), written = step();
    }
    stop_.store(false, std::memory_order_relaxed);
    if (!options.checkpoints.empty() && written != step()) save(observer);
    return {step(), Index(model_.run.look().skipped), sparsity_, step() < steps()};
  }
  TrainingSummary run() {
    Silent nobody;
    return run(nobody);
  }

  /// Takes the run up at the newest good checkpoint; nothing where there is none yet. A damaged one is passed over and
  /// noted; one of another base model, other data or other settings is refused.
  std::optional<Resumed> resume() {
    require(!options.checkpoints.empty(), "resume: TrainerOptions::checkpoints names no folder");
    const CheckpointDirectory folder(options.checkpoints, options.keep);
    Resumed resumed;
    for (const std::string& path : folder.list()) {
      json::Value manifest;
      TrainingState state;
      try {
        manifest = CheckpointDirectory::verify(path);
        state = TrainingState::read(io::join(path, "state.safetensors"));
      } catch (const Error& error) {
        resumed.notes.push_back(format("{} is passed over: {}", path, error.what()));
        continue;
      }
      take_up(path, manifest, state, resumed);
      return resumed;
    }
    if (resumed.notes.empty()) return std::nullopt;
    fail(Errc::bad_input, "{}: no checkpoint is intact: {}", options.checkpoints, resumed.notes.front());
  }

  /// Writes a checkpoint of this moment and returns its path.
  std::string save() {
    CheckpointDirectory folder(options.checkpoints, options.keep);
    return folder.write(step(), [&](const io::StagedDirectory& staged) { return write(staged); });
  }

  TrainerOptions options;

 private:
  /// Seconds of a clock that is never set; <chrono> would cost every user a quarter of a second to compile.
  static double now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
  }

  template <class O>
  void one_step(O& observer) {
    const double begin = now();
    auto& run = model_.run;
    auto& device = *run.device;
    const Index at = step(), micros = batches_.accumulate();
    batches_.prepare(at);
    for (Index k = 0; k < micros; ++k) {
      model_.loss(batches_[k]);
      device.for_each(1, kernel::AddLoss<A>{run.total(), k == 0, run.on_device()});
    }
    clip(model_, options.max_norm);
    // The device is waited for once: before anything changes where the run may have to stop, else at the end.
    const bool stops = options.non_finite == NonFinite::stop;
    StepState seen;
    if (stops) require_finite(seen = run.look(), at);
    const double rate = options.rate(at), before = sparsity_;
    sparsity_ = pruner_.step();
    optimizer_.step(rate);
    if constexpr (!std::is_same_v<O, Silent>) {
      if (!stops) seen = run.look();
      observer.on_step({step(), steps(), seen.loss, rate, seen.norm, sparsity_, !std::isfinite(seen.norm),
                        batches_.tokens_per_step(), now() - begin, bytes_ + run.workspace.peak()});
      if (sparsity_ != before) observer.on_prune({step(), before, sparsity_});
    }
    if (options.compact == Compaction::live)
      if (std::any_of(masks_.begin(), masks_.end(), [](const auto* mask) { return mask->masked(); })) leave(observer);
  }

  /// Masked units leave, after the optimizer's step, when weights, moments and running scores are of one age.
  template <class O>
  void leave(O& observer) {
    base();  // what checkpoints call the base model is the one that the run began with
    detail::require_final(pruner_);
    const double begin = now();
    const Footprint before = footprint(model_);
    compact(model_);
    detail::follow(pruner_);
    const Footprint after = footprint(model_);
    bytes_ = after.bytes;
    observer.on_compaction({step(), before, after, now() - begin});
  }

  static void require_finite(const StepState& seen, Index at) {
    if (seen.clip >= 0) return;
    fail(Errc::numerical,
         "step {}: the norm of the gradients is {}; nothing was changed in this step. Lower the learning "
         "rate, or let such steps be skipped",
         at + 1, seen.norm);
  }

  template <class O>
  void save(O& observer) {
    const double begin = now();
    const std::string path = save();
    observer.on_checkpoint({step(), path, now() - begin});
  }

  const std::string& base() {
    if (base_.empty()) base_ = hash_of_base(model_);
    return base_;
  }
  const std::string& data() {
    if (data_.empty()) data_ = batches_.hash();
    return data_;
  }
  RunFacts facts() {
    return {step(), step() * batches_.drawn_per_step(), model_.run.step.seed, model_.run.look().skipped, sparsity_,
            options.rate(step()), base(), data(), detail::settings_of(options, optimizer_.options, batches_.settings())};
  }
  json::Value write(const io::StagedDirectory& staged) {
    json::Value manifest = manifest_of(facts());
    auto files = json::Value::array();
    files.push_back(take_state(model_, pruner_).write(staged, "state.safetensors"));
    manifest.set("files", files);
    return manifest;
  }

  void take_up(const std::string& path, const json::Value& manifest, const TrainingState& state, Resumed& resumed) {
    refuse_other_run(path, manifest, facts());
    put_state(state, model_, pruner_);
    bytes_ = footprint(model_).bytes;
    auto& run = model_.run;
    run.step.step = std::uint32_t(manifest.index("step"));
    run.step.seed = manifest.at("seed").as_uint64("seed");
    run.step.skipped = manifest.at("skipped").as_uint64("skipped");
    run.step.norm = 0, run.step.clip = 1;
    run.restore();
    sparsity_ = manifest.number("sparsity");
    const std::string version = detail::difference(detail::versions(), manifest.at("versions"));
    if (!version.empty()) {
      resumed.notes.push_back(
          format("{} was written by another {}: the bits may differ from an uninterrupted run", path, version));
    }
    resumed.step = step(), resumed.path = path;
  }

  inline static NoPruner none_{};
  Model& model_;
  AdamW<Model>& optimizer_;
  Pruner& pruner_;
  Source batches_;
  double sparsity_ = 0;
  std::vector<const UnitMask<Device>*> masks_;
  Index bytes_ = 0;  // that the model takes up, without scratch memory
  std::atomic<bool> stop_{false};
  std::string base_, data_;  // hashes, when somebody has asked
};

template <class Model, BatchSource Source>
Trainer(Model&, AdamW<Model>&, Source, const TrainerOptions& = {}) -> Trainer<Model, NoPruner, Source>;
template <class Model, class Pruner, BatchSource Source>
Trainer(Model&, AdamW<Model>&, Pruner&, Source, const TrainerOptions& = {}) -> Trainer<Model, Pruner, Source>;

}  // namespace espalier::inline v0
