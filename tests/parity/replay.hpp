// SPDX-License-Identifier: MIT
#pragma once
// A step asks for what the step before has asked for, byte for byte: code, operands, addresses. So a device that has
// captured one can replay it for the next. What varies (rate, dropout, weight of a token, batches, masks) is read there.
// And the host waits for it once a step at most. For devices that count.
#include <espalier/backend/launch_list.hpp>
#include <espalier/prune/importance/full_taylor.hpp>

#include "parity/memory.hpp"

namespace espalier::test::parity {

/// What a device was asked for since the step before.
template <class Device>
struct StepCounter : Silent {
  struct Counts {
    long records, replays, downloads, allocations;
  };
  explicit StepCounter(Device& d) : device(d), before(now()) {}
  Counts now() const {
    auto& system = device.system();
    return {system.records(), system.replays(), system.downloads(), system.allocations()};
  }
  void on_step(const StepReport&) {
    const Counts n = now();
    steps.push_back({n.records - before.records, n.replays - before.replays, n.downloads - before.downloads,
                     n.allocations - before.allocations});
    before = n;
  }
  void on_prune(const PruneReportLine& r) { events.insert(r.step); }
  void on_compaction(const CompactionReport&) { before = now(); }
  Device& device;
  Counts before;
  std::vector<Counts> steps;
  std::set<Index> events;
};

/// Dropout, accumulation, a rate that changes, clipping, scores at every step, events at every fifth.
template <class Device, class Score>
void replayed_steps(Device& device, Outputs& out, const std::string& name, Score score, const TrainerOptions& options) {
  auto model = untrained(device);
  AdamW optimizer(model, {.decay = 0.01});
  Pruner pruner(model, score, EMAMask{}, CubicSchedule{.begin = 4, .end = 15, .sparsity = 0.5}, PrunerOptions{.every = 5});
  Trainer trainer(model, optimizer, pruner, short_batches(15), options);
  StepCounter counter(device);
  trainer.run(counter);
  std::vector<double> replays, waits, pieces, taken, wanted;
  for (Index step = 3; step <= 15; ++step) {
    const auto& c = counter.steps[static_cast<std::size_t>(step - 1)];
    if (options.compact == Compaction::live && step > 5 && step % 5 < 3 && step % 5 > 0) continue;  // finds out how much it needs
    pieces.push_back(double(c.records)), replays.push_back(double(c.replays)), wanted.push_back(5);
    if (counter.events.contains(step)) continue;  // masks are chosen on the host
    waits.push_back(double(c.downloads)), taken.push_back(double(c.allocations));
  }
  const auto all = [](const std::vector<double>& x, double value) { return std::vector<double>(x.size(), value); };
  out.holds(name + ": there were events", counter.events.size() >= 2);
  out.agree(name + ": the loss of two batches, the norm, the scores, the optimizer", pieces, wanted, Match::exact);
  out.agree(name + ": all of it replayed", replays, wanted, Match::exact);
  out.agree(name + ": one wait", waits, all(waits, 1), Match::exact);
  out.agree(name + ": no memory", taken, all(taken, 0), Match::exact);
}

template <class Device>
void replay(Judge& judge) {
  if constexpr (Counting<Device>) {
    if constexpr (!LaunchList<typename Device::System>::kExact) return;
    run_case<Device>(judge, "replay/steps", [&](Device& device, Thrice& thrice) {
      thrice([&](Outputs& out) {
        const LearningRate rate{.peak = 5e-3, .warmup = 4, .steps = 15, .shape = RateShape::cosine};
        replayed_steps(device, out, "adapters' gradients", TaylorImportance{}, {.rate = rate});
        replayed_steps(device, out, "watched", FullTaylorImportance{}, {.rate = rate});
        replayed_steps(device, out, "units leave", TaylorImportance{}, {.rate = rate, .compact = Compaction::live});
        replayed_steps(device, out, "no step that is not finite", TaylorImportance{}, {.rate = rate, .non_finite = NonFinite::stop});
      });
    });
    run_case<Device>(judge, "replay/batches", [&](Device& device, Thrice& thrice) {
      thrice([&](Outputs& out) {  // of one shape, with other tokens, another number of targets, another place in the step
        auto model = untrained(device);
        const auto pass = [&](std::uint64_t n) {
          Tokens tokens(model.config.vocab, {2, 13}, n);
          for (std::size_t i = 0; i < n; ++i) tokens.targets[2 * i] = kIgnore;
          Batch batch = tokens;
          batch.micro = std::uint32_t(n);
          const long before = device.system().replays();
          clear_gradients(model);
          const double loss = model.loss(batch);
          out.holds(format("pass {} is the one before, on other numbers", n), n < 3 || device.system().replays() == before + 1);
          out.add(format("loss {}", n), Match::repeats, {loss});
          out.add(format("gradients {}", n), Match::repeats, fetch(device, model.run.arena.grad(), model.run.arena.size()));
        };
        for (std::uint64_t n = 1; n <= 5; ++n) pass(n);
        out.holds("losses differ", out.list[1].numbers != out.list[4].numbers && out.list[4].numbers != out.list[7].numbers);
        const long before = device.system().replays();
        for_each_projection(model, [&](const std::string&, auto& p) { p.adapter.dropout = 0.2 + 1e-9 * double(before); });
        model.loss(Tokens(model.config.vocab, {2, 13}));
        out.holds("what somebody has set anew is no replay", device.system().replays() == before);
      });
    });
  }
}

}  // namespace espalier::test::parity
