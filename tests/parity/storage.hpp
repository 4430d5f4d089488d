// SPDX-License-Identifier: MIT
#pragma once
// Models and runs through files: reloaded is saved, resumed is uninterrupted, on any device.
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>

#include "parity/training.hpp"
#include "support/temporary_directory.hpp"

namespace espalier::test::parity {

template <class Device>
void round_trips(Judge& judge) {
  const auto all = small_llamas();
  for (const std::size_t n : {1u, 3u, 5u, 7u}) {
    const NamedLlama& llama = all[n];
    run_case<Device>(judge, format("storage/saved and loaded/{}", llama.name), [&](Device& device, Thrice& thrice) {
      using Model = Llama<Device, LowRankAdapter>;
      const Dtype dtype = precision_of<Device> == Precision::fp64 ? Dtype::f64 : Dtype::f32;
      const Tokens batch(llama.config.vocab, {2, 9});
      auto model = random_llama(device, llama.config, {.rank = 2, .alpha = 4});
      mask_every(model, 3);
      thrice([&](Outputs& out) {
        const TemporaryDirectory folder;
        const auto logits = [&](Model& m) { return as_doubles(m.logits(batch.tokens, batch.shape)); };
        save(model, folder / "merged", {.dtype = dtype});
        Model merged = load<Model>(device, folder / "merged", {.targets = {"nothing"}});
        out.agree("merged", logits(merged), logits(model));
        for_each_projection(model, [](const auto&, auto& p) { require(p.adapter.active(), "saving has merged an adapter"); });

        auto whole = random_llama(device, llama.config, {.rank = 2, .alpha = 4});
        save(whole, folder / "base", {.dtype = dtype, .merge = false});
        save_adapter(whole, folder / "adapter", {.base = folder / "base"});
        Model loaded = load<Model>(device, folder / "base");
        load_adapter(loaded, folder / "adapter");
        out.agree("base and adapter", logits(loaded), logits(whole), Match::exact);
      });
    });
  }
}

template <class Device>
void resumed(Judge& judge) {
  run_case<Device>(judge, "storage/stopped and resumed", [](Device& device, Thrice& thrice) {
    thrice([&](Outputs& out) {
      const TemporaryDirectory folder;
      const auto run = [&](const std::string& where, Index stop) {
        auto model = untrained(device);
        AdamW optimizer(model);
        Pruner pruner(model, TaylorImportance{}, EMAMask{}, CubicSchedule{.begin = 0, .end = 6, .sparsity = 0.5}, PrunerOptions{.every = 2});
        Trainer trainer(model, optimizer, pruner, short_batches(8), {.rate = {.peak = 5e-3}, .checkpoints = where});
        trainer.resume();
        struct Stopper : Silent {
          decltype(trainer)& target;
          Index when;
          void on_step(const StepReport& r) {
            if (r.step == when) target.stop();
          }
        } stopper{{}, trainer, stop};
        trainer.run(stopper);
        auto& arena = model.run.arena;
        auto all = fetch(device, arena.value(), arena.size());
        for (int k = 0; k < 2; ++k)
          for (const double m : fetch(device, arena.moment(device, k), arena.size())) all.push_back(m);
        model.groups([&](auto group) { all.insert(all.end(), group.mask->alive().begin(), group.mask->alive().end()); });
        return all;
      };
      const auto whole = run(folder / "whole", 8);
      const auto some = run(folder / "parts", 3);
      out.agree("resumed == uninterrupted", run(folder / "parts", 8), whole, Match::exact);
      out.holds("and there was something left to do", some != whole);
    });
  });
}

/// Host code all of it, compiled once for a device with memory of its own and types of three kinds.
template <class Device>
void storage(Judge& judge) {
  if constexpr (!std::is_same_v<typename Device::Activation, typename Device::Accumulate>) {
    round_trips<Device>(judge);
    resumed<Device>(judge);
  }
}

}  // namespace espalier::test::parity
