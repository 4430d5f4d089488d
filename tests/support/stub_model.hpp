// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/run_state.hpp>
#include <vector>

namespace espalier::test {

/// The least that an optimizer needs: parameters in an arena and the state of the step.
template <Backend Device>
struct StubModel {
  using DeviceType = Device;
  explicit StubModel(Device& device, std::vector<Index> sizes) : run(device) {
    for (const Index n : sizes) parameters.emplace_back(1, n);
    run.arena.bind(device, [this](auto&& f) {
      for (auto& p : parameters) f(p);
    });
  }
  RunState<Device> run;
  std::vector<Parameter<Device>> parameters;
};

}  // namespace espalier::test
