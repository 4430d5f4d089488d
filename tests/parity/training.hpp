// SPDX-License-Identifier: MIT
#pragma once
// Fifty steps of training with dropout, accumulation, clipping and pruning: losses and masks of every step.
#include <espalier/data/tokens.hpp>
#include <espalier/adapter/initialise.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/train/trainer.hpp>

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
  const StepState* state;
  Index units, first;
  A* unit;
  ESPALIER_FN void operator()(Index u) const { unit[u] = A(bits[Index(state->step) * units + first + u] ? 1.0f : 0.0f); }
};
/// Scores that lead to masks which have been decided elsewhere: 1 for units that are there after this step, else 0.
struct RecordedImportance {
  static constexpr Needs needs = Needs::nothing;

  const std::uint8_t* bits;  // (steps, units)  on the device
  Index units;
  Index first[8];  // of each group

  template <class Device, class Group, class A>
  void score_units(Pass<Device>& pass, const Group& group, Index number, const int*, View<A, 1> out) const {
    pass.device.for_each(group.units(), RecordedUnits<A>{bits, pass.state, units, first[number], out.data});
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

template <class Device, class Importance, class Mask>
auto train(Device& device, const Importance& importance, const Mask& mask, Index steps) {
  auto model = untrained(device);
  AdamW optimizer(model, {.decay = 0.01});
  Pruner pruner(model, importance, mask, CubicSchedule{.begin = 5, .end = 40, .sparsity = 0.5}, PrunerOptions{.every = 5});
  Trainer trainer(model, optimizer, pruner, short_batches(steps),
                  {.rate = {.peak = 3e-2, .warmup = 5, .steps = steps, .shape = RateShape::cosine}});
  Diary diary(model);
  trainer.run(diary);
  struct {
    std::vector<double> losses, norms, masks, adapters;
    double reached;
  } result{diary.losses, diary.norms, diary.masks, fetch(device, model.run.arena.value(), model.run.arena.size()), pruner.report().reached};
  return result;
}

template <class Device>
void training(Judge& judge) {
  const std::string name = "training/fifty steps";
  run_case<Device>(judge, name, [&](Device& device, Thrice& thrice) {
    std::vector<std::uint8_t> bits;
    RecordedImportance recorded{};
    typename Device::template Buffer<std::uint8_t> table;
    if constexpr (precision_of<Device> == Precision::fp32) {
      for (const double b : judge.recorded(Precision::fp64, name + "/masks")) bits.push_back(b != 0);
      table = on_device(device, bits);
      recorded.bits = table.data(), recorded.units = Index(bits.size()) / kSteps;
      const Index widths[] = {learner().groups, learner().feed_forward};
      for (int g = 0; g < 2 * int(learner().layers); ++g) recorded.first[g + 1] = recorded.first[g] + widths[g % 2];
    }
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
        auto run = train(device, recorded, Latest{}, kSteps);
        keep_losses(std::move(run.losses));
        out.agree("masks are those of the record", std::move(run.masks), judge.recorded(Precision::fp64, name + "/masks"), Match::exact);
      } else {
        auto run = train(device, TaylorImportance{}, EMAMask{}, kSteps);
        out.holds("half of the units are gone", run.reached > 0.45);
        out.holds("the loss falls", run.losses.back() < 0.9 * run.losses.front());
        out.add("loss", Match::repeats, std::move(run.losses));
        out.add("masks", Match::repeats, std::move(run.masks));
        out.add("adapters", Match::repeats, std::move(run.adapters));
      }
    });
  });
}

}  // namespace espalier::test::parity
