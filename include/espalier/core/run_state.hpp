// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <espalier/core/parameter.hpp>
#include <espalier/core/workspace.hpp>

namespace espalier::inline v0 {

/// What a model needs to run: parameters in one arena, scratch memory, and the state of the step on host and device.
template <Backend Device>
class RunState {
 public:
  using A = typename Device::Accumulate;
  explicit RunState(Device& d) : device(&d), workspace(d), total_(d, 1), state_(d, 1) { restore(); }

  /// Host changes become visible to the next pass. What the device computes itself (norm, clip, skipped) stays.
  void publish() {
    device->upload(reinterpret_cast<std::byte*>(state_.data()), reinterpret_cast<const std::byte*>(&step),
                   Index(offsetof(StepState, norm)));
  }
  /// Everything, e.g. after a checkpoint was read.
  void restore() { device->upload(state_.data(), &step, 1); }
  /// The state as the device sees it. Waits for the device.
  StepState look() const {
    StepState seen = step;
    device->download(state_.data(), &seen, 1);
    return seen;
  }
  StepState* on_device() { return state_.data(); }
  A* total() { return total_.data(); }
  /// StepState::weight, on the device.
  const double* weight() { return &state_.data()->weight; }

  Device* device;
  ParameterArena<Device> arena;
  Workspace<Device> workspace;
  StepState step;

 private:
  typename Device::template Buffer<A> total_;
  typename Device::template Buffer<StepState> state_;
};

}  // namespace espalier::inline v0
