// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/run_state.hpp>
#include <espalier/kernel/clip.hpp>

namespace espalier::inline v0 {

/// Global norm of all gradients and the factor that brings it down to `most` (0: measure only), left on the device for
/// pruner and optimizer: nobody waits, and no gradient is touched. If the norm is not finite, the optimizer's next step
/// changes neither weights nor moments and is counted in StepState::skipped; to stop instead, ask model.run.look().
template <class Model>
void clip(Model& model, double most) {
  auto& run = model.run;
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;
  const Index n = run.arena.size(), chunk = kernel::SquareSums<A>::kChunk, chunks = (n + chunk - 1) / chunk;
  Pass<Device> pass(run.workspace, {});
  const auto partial = pass.template vector<double>(chunks);
  pass.device.record([&] {
    pass.device.for_each_row(chunks, kernel::SquareSums<A>{vector<const A>(run.arena.grad(), n), partial});
    pass.device.for_each_row(1, kernel::ClipFactor{partial, most, run.on_device()});
  });
}

}  // namespace espalier::inline v0
