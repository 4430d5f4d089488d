// SPDX-License-Identifier: MIT
#pragma once
// What a device is asked for: no memory after the second step, no wait between events, nothing but launches in what is
// recorded; and what happens when it has too little. For devices that count.
#include "parity/training.hpp"

namespace espalier::test::parity {

template <class Device>
concept Counting = requires(Device& device, typename Device::System::Options options) {
  device.system().allocations();
  device.system().downloads();
  device.system().records();
  device.system().memory().most();
  options.bytes;
};

/// Model, optimizer and pruner, and so many steps that nobody watches.
template <class Device>
struct QuietRun {
  static constexpr Index kEvery = 3;
  using Model = Llama<Device, LowRankAdapter>;

  explicit QuietRun(Device& device, Index steps)
      : model(untrained(device)), optimizer(model),
        pruner(model, TaylorImportance{}, EMAMask{}, CubicSchedule{.begin = 0, .end = 15, .sparsity = 0.5}, PrunerOptions{.every = kEvery}),
        trainer(model, optimizer, pruner, short_batches(steps), {.rate = {.peak = 5e-3}}) {}

  Model model;
  AdamW<Model> optimizer;
  Pruner<Model, TaylorImportance, EMAMask, CubicSchedule> pruner;
  Trainer<Model, decltype(pruner)> trainer;
};

template <Counting Device>
void quiet_steps(Judge& judge) {
  run_case<Device>(judge, "memory/quiet steps", [&](Device& device, Thrice& thrice) {
    auto& system = device.system();
    thrice([&](Outputs& out) {
      long taken = 0, waited = 0, records = 0;
      for (Index steps = 1; steps <= 8; ++steps) {  // what the last step of each run adds
        const long allocations = system.allocations(), downloads = system.downloads(), recorded = system.records();
        QuietRun<Device> run(device, steps);
        run.trainer.run();
        const long now_taken = system.allocations() - allocations, now_waited = system.downloads() - downloads,
                   now_records = system.records() - recorded;
        const std::string at = format(", step {}", steps);
        if (steps > 2) out.agree("allocations" + at, {double(now_taken - taken)}, {0}, Match::exact);
        if (steps > 1) {
          if (steps % QuietRun<Device>::kEvery != 0) out.agree("downloads" + at, {double(now_waited - waited)}, {0}, Match::exact);
          // The loss of two batches, the norm, the scores, the optimizer.
          out.agree("recorded pieces" + at, {double(now_records - records)}, {5}, Match::exact);
        }
        taken = now_taken, waited = now_waited, records = now_records;
      }
    });
  });
}

/// Every size of a device's memory that is too small, in steps: an error that says so, and nothing is left behind.
template <Counting Device>
void no_room(Judge& judge) {
  run_case<Device>(judge, "memory/no room", [&](Device& device, Thrice& thrice) {
    {
      QuietRun<Device> run(device, 3);
      run.trainer.run();
    }
    const Index most = device.system().memory().most();
    thrice([&](Outputs& out) {
      int refused = 0;
      for (int share = 1; share <= 100; share += 19) {
        auto options = options_of<Device>(judge.settings);
        options.bytes = most * share / 100;
        Device small(options);
        try {
          QuietRun<Device> run(small, 3);
          run.trainer.run();
        } catch (const Error& error) {
          ++refused;
          out.holds(format("{} % of the memory: the error is about resources: {}", share, error.what()), error.code() == Errc::resources);
        }
        out.agree(format("{} % of the memory: bytes that are left behind", share), {double(small.system().memory().used())}, {0}, Match::exact);
      }
      out.holds("most of these devices were too small", refused > 3);
    });
  });
}

/// A pass that finds no room can be done again when there is room.
template <Counting Device>
void room_again(Judge& judge) {
  run_case<Device>(judge, "memory/room again", [&](Device&, Thrice& thrice) {
    auto options = options_of<Device>(judge.settings);
    options.bytes = Index{16} << 20;
    Device device(options);
    thrice([&](Outputs& out) {
      {  // a large piece is refused, and a small one then is no larger than it would have been
        using A = typename Device::Accumulate;
        Workspace<Device> workspace(device);
        bool refused = false;
        try {
          Pass<Device>(workspace, {}).template matrix<A>(1 << 14, 1 << 10);
        } catch (const Error& error) {
          refused = error.code() == Errc::resources;
        }
        out.holds("a piece of the workspace is refused", refused);
        Pass<Device> pass(workspace, {});
        pass.template zeros<A>(1 << 10);
        out.holds("and then a small one is small", device.system().memory().used() < Index{2} << 20);
      }
      auto model = untrained(device);
      const Tokens batch(model.config.vocab, {24, 25});
      const double evaluated = model.evaluate(batch);
      for (const Index spare : {Index{0}, Index{1} << 19}) {  // for nothing, and for the first piece only
        model.run.workspace.reset();
        std::vector<typename Device::template Buffer<std::byte>> hogs;
        for (const Index bytes : {Index{1} << 19, Index{1} << 12, Index{256}}) try {
            while (true) hogs.emplace_back(device, bytes);
          } catch (const Error&) {
          }
        if (spare > 0) hogs.erase(hogs.begin());
        bool refused = false;
        try {
          model.evaluate(batch);
        } catch (const Error& error) {
          refused = error.code() == Errc::resources;
        }
        out.holds(format("refused, with {} bytes to spare", spare), refused);
        hogs.clear();
        out.agree(format("evaluated again after {}", spare), {double(model.evaluate(batch))}, {evaluated}, Match::exact);
      }
    });
  });
}

template <class Device>
void memory(Judge& judge) {
  if constexpr (Counting<Device>) {
    quiet_steps<Device>(judge);
    no_room<Device>(judge);
    room_again<Device>(judge);
  }
}

}  // namespace espalier::test::parity
