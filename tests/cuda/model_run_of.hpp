// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/espalier.hpp>
#include <string>

#include "model_run.hpp"

namespace espalier::test {

template <class Device>
ModelRun run_on(const std::string& from, const std::string& scratch) {
  using Model = Llama<Device, LowRankAdapter>;
  ModelRun run;
  Device device;
  auto model = load<Model>(device, from, LowRankOptions{.rank = 8, .alpha = 16});
  AdamW optimizer(model, {.rate = 1e-3});
  Pruner pruner(model, TaylorImportance{}, EMAMask{.decay = 0.9}, CubicSchedule{.begin = 2, .end = 16, .sparsity = 0.5},
                {.every = 4});
  const TokenFile data(from + "/text/second.txt"), held_out(from + "/text/second-val.txt");
  Trainer trainer(model, optimizer, pruner, data.batches({.size = 8, .length = 64, .steps = 20}),
                  {.rate = {.peak = 1e-3, .steps = 20}});
  Listener listener(run);
  trainer.run(listener);
  if constexpr (requires { device.system().replays(); }) run.replays = device.system().replays();
  for (const PlanGroup& g : pruner.plan().groups) run.kept.emplace_back(g.kept.begin(), g.kept.end());

  const EvaluateOptions some{.length = 128, .at_most = 40};
  run.masked = evaluate(model, held_out, some).loss;
  merge(model);
  run.merged = evaluate(model, held_out, some).loss;
  compact(model);
  run.compacted = evaluate(model, held_out, some).loss;
  save(model, scratch + "/pruned", {.layout = Layout::padded, .overwrite = true});
  auto again = load<Model>(device, scratch + "/pruned", LowRankOptions{});
  save_adapter(again, scratch + "/adapter", {.overwrite = true});
  load_adapter(again, scratch + "/adapter");
  run.reloaded = evaluate(again, held_out, some).loss;
  return run;
}

}  // namespace espalier::test
