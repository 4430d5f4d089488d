// SPDX-License-Identifier: MIT
#pragma once
// Fifty steps of training with dropout, accumulation, clipping and pruning: losses and masks of every step.
#include <espalier/data/tokens.hpp>
#include <espalier/adapter/initialise.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/train/trainer.hpp>
#include <optional>

#include "parity/llamas.hpp"
#include "support/scores.hpp"

namespace espalier::test::parity {

inline constexpr Index kSteps = 50;

inline LlamaConfig learner() {
  return {.vocab = 32, .hidden = 16, .layers = 2, .heads = 4, .groups = 2, .head_dim = 4, .feed_forward = 22};
}
/// A text with something to learn in it.
inline TokenFile short_text() {
  std::vector<int> ids;
  const RandomStream stream{9, Purpose::test};
  for (std::uint64_t i = 0; ids.size() < 3000; ++i)
    for (int k = 0; k < 6; ++k) ids.push_back(int((stream.bits(i) % 4) * 8 + unsigned(k * k) % 8));
  return TokenFile::of(std::move(ids), 0, "short text");
}
inline Batches short_batches(Index steps) {
  return short_text().batches({.size = 2, .length = 12, .steps = steps, .seed = 4, .accumulate = 2});
}
/// The model before the first step.
template <class Device>
Llama<Device, LowRankAdapter> untrained(Device& device) {
  auto model = random_llama(device, learner(), {.rank = 2, .alpha = 4, .dropout = 0.1});
  initialise(model, 3);
  return model;
}

/// Remembers losses and masks, without a look at the device of its own.
template <class Model>
struct Diary : Silent {
  explicit Diary(Model& m) : model(m) {}
  void on_step(const StepReport& r) {
    losses.push_back(r.loss), norms.push_back(r.norm);
    model.groups([&](auto group) { masks.insert(masks.end(), group.mask->alive().begin(), group.mask->alive().end()); });
  }
  Model& model;
  std::vector<double> losses, norms, masks;
};

template <class A>
struct RecordedUnits {
  const std::uint8_t* bits;  // (steps, units)
  const int* origin;         // of each unit that is left
  const StepState* state;
  Index units, first;
  A* unit;
  ESPALIER_FN void operator()(Index u) const { unit[u] = A(bits[Index(state->step) * units + first + origin[u]] ? 1.0f : 0.0f); }
};
/// Scores that lead to masks which have been decided elsewhere: 1 for units that are there after this step, else 0.
struct RecordedImportance {
  static constexpr Needs needs = Needs::nothing;

  const std::uint8_t* bits;  // (steps, units)  on the device
  Index units;
  Index first[8];  // of each group

  template <class Device, class Group, class A>
  void score_units(Pass<Device>& pass, const Group& group, Index number, const int* origin, View<A, 1> out) const {
    pass.device.for_each(group.units(), RecordedUnits<A>{bits, origin, pass.state, units, first[number], out.data});
  }
  template <class A>
  ESPALIER_FN A finish(A sum, Index) const {
    return sum;
  }
  template <class F>
  void settings(F&& f) const {
    f("importance", "recorded");
  }
};

/// How the run of a precision is held against the reference: relatively, at every step.
template <class Device>
inline constexpr double kLossBound = precision_of<Device> == Precision::fp64 ? 1e-9 : 1e-4;

/// The masks of the reference's run, on a device.
template <class Device>
struct RecordedMasks {
  RecordedMasks(Device& device, const std::vector<double>& masks) {
    const std::vector<std::uint8_t> bits(masks.begin(), masks.end());
    table = on_device(device, bits);
    importance.bits = table.data(), importance.units = Index(bits.size()) / kSteps;
    const Index widths[] = {learner().groups, learner().feed_forward};
    for (int g = 0; g < 2 * int(learner().layers); ++g) importance.first[g + 1] = importance.first[g] + widths[g % 2];
  }
  typename Device::template Buffer<std::uint8_t> table;
  RecordedImportance importance{};
};

template <class Device, class Importance, class Mask>
auto train(Device& device, const Importance& importance, const Mask& mask, Index steps, Compaction compact = Compaction::none) {
  auto model = untrained(device);
  AdamW optimizer(model, {.decay = 0.01});
  Pruner pruner(model, importance, mask, CubicSchedule{.begin = 5, .end = 40, .sparsity = 0.5}, PrunerOptions{.every = 5});
  Trainer trainer(model, optimizer, pruner, short_batches(steps),
                  {.rate = {.peak = 3e-2, .warmup = 5, .steps = kSteps, .shape = RateShape::cosine}, .compact = compact});
  Diary diary(model);
  trainer.run(diary);
  struct {
    std::vector<double> losses, norms, masks, adapters, origins;
    double reached;
  } result{diary.losses, diary.norms, diary.masks, fetch(device, model.run.arena.value(), model.run.arena.size()), {}, pruner.report().reached};
  model.groups([&](auto group) { result.origins.insert(result.origins.end(), group.mask->origin().begin(), group.mask->origin().end()); });
  return result;
}

/// The same masks, and units that leave with each event: the course of the run stays the same, and the model is smaller.
template <class Device>
void live_training(Judge& judge, const std::string& masks) {
  constexpr Index kLiveSteps = 22;  // four events
  run_case<Device>(judge, "training/units leave", [&](Device& device, Thrice& thrice) {
    const RecordedMasks<Device> recorded(device, judge.recorded(Precision::fp64, masks + "/masks"));
    thrice([&](Outputs& out) {
      const auto stay = train(device, recorded.importance, Latest{}, kLiveSteps);
      auto leave = train(device, recorded.importance, Latest{}, kLiveSteps, Compaction::live);
      out.holds("units have left", leave.origins.size() < stay.origins.size() && leave.adapters.size() < stay.adapters.size());
      out.add("who is left", Match::exact, std::move(leave.origins));
      out.agree("as if they had stayed", leave.losses, stay.losses);
      if constexpr (precision_of<Device> == Precision::bf16) out.add("loss", Match::near, std::move(leave.losses));
      else out.list.push_back({"loss", Match::each, std::move(leave.losses), {}, kLossBound<Device>});
      out.add("adapters", precision_of<Device> == Precision::fp64 ? Match::near : Match::repeats, std::move(leave.adapters));
    });
  });
}

template <class Device>
void training(Judge& judge) {
  const std::string name = "training/fifty steps";
  run_case<Device>(judge, name, [&](Device& device, Thrice& thrice) {
    std::optional<RecordedMasks<Device>> recorded;
    if constexpr (precision_of<Device> != Precision::fp64) recorded.emplace(device, judge.recorded(Precision::fp64, name + "/masks"));
    thrice([&](Outputs& out) {
      const auto keep_losses = [&](std::vector<double> losses) {
        out.list.push_back({"loss", Match::each, std::move(losses), {}, kLossBound<Device>});
      };
      if constexpr (precision_of<Device> == Precision::fp64) {
        auto run = train(device, TaylorImportance{}, EMAMask{}, kSteps);
        out.holds("half of the units are gone", run.reached > 0.45);
        out.holds("the loss falls", run.losses.back() < 0.9 * run.losses.front());
        keep_losses(std::move(run.losses));
        out.list.push_back({"norm", Match::each, std::move(run.norms), {}, 1e-8});
        out.add("masks", Match::exact, std::move(run.masks));
        out.add("adapters", Match::near, std::move(run.adapters));
      } else if constexpr (precision_of<Device> == Precision::fp32) {
        auto run = train(device, recorded->importance, Latest{}, kSteps);
        keep_losses(std::move(run.losses));
        out.agree("masks are those of the record", std::move(run.masks), judge.recorded(Precision::fp64, name + "/masks"), Match::exact);
      } else {
        auto run = train(device, recorded->importance, Latest{}, kSteps);
        out.agree("masks are those of the record", std::move(run.masks), judge.recorded(Precision::fp64, name + "/masks"), Match::exact);
        out.holds("the loss falls", run.losses.back() < 0.9 * run.losses.front());
        out.add("loss", Match::near, std::move(run.losses));
        out.add("adapters", Match::repeats, std::move(run.adapters));  // so many roundings of activations apart
        auto own = train(device, TaylorImportance{}, EMAMask{}, kSteps);
        out.holds("half of the units are gone", own.reached > 0.45);
        out.holds("the loss falls by masks of its own", own.losses.back() < 0.9 * own.losses.front());
        out.add("masks of its own", Match::repeats, std::move(own.masks));
      }
    });
  });
  live_training<Device>(judge, name);
}

}  // namespace espalier::test::parity
