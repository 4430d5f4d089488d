// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/swiglu.hpp>
#include <espalier/nn/group.hpp>

namespace espalier::inline v0 {

/// y = down( silu(gate(x)) ∘ up(x) ∘ M ),  M one bit a channel.                                          Shazeer 2020
template <Backend Device, template <class> class Adapter>
class GatedFeedForward {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  struct Activations {
    typename Projection::Activations gate, up, down;
  };

  GatedFeedForward() = default;
  GatedFeedForward(Device& device, Index hidden, Index width, bool bias, const std::string& path,
                   const typename Projection::Options& adapter)
      : gate_proj(device, hidden, width, bias, path + ".gate_proj", adapter),
        up_proj(device, hidden, width, bias, path + ".up_proj", adapter),
        down_proj(device, width, hidden, bias, path + ".down_proj", adapter),
        units(device, width) {}

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act, const OutputMask<A>& residual = {}) const {
    auto gate = gate_proj.forward(pass, x, act.gate, units.outputs(1)),
         up = up_proj.forward(pass, x, act.up, units.outputs(1));
    auto h = pass.matrix(x.rows(), units.units());
    pass.device.for_each_row(h.rows(), kernel::SwiGlu<T, A>{gate, up, units.forward(), h});
    return down_proj.forward(pass, h, act.down, residual);
  }

  void backward(Pass<Device>& pass, View<const T, 2> dy, const Activations& act, View<T, 2> dx, const OutputMask<A>& residual = {}) {
    auto scratch = pass.scratch();
    auto dh = scratch.zeros(act.gate.y.rows(), act.gate.y.cols());
    down_proj.backward(scratch, dy, act.down, dh, residual);
    auto dgate = scratch.matrix(dh.rows(), dh.cols()), dup = scratch.matrix(dh.rows(), dh.cols());
    pass.device.for_each_row(
        dh.rows(), kernel::SwiGluBackward<T, A>{act.gate.y, act.up.y, dh, units.backward(), dgate, dup});
    gate_proj.backward(scratch, dgate, act.gate, dx, units.outputs(1));
    up_proj.backward(scratch, dup, act.up, dx, units.outputs(1));
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("gate_proj", self.gate_proj);
    f("up_proj", self.up_proj);
    f("down_proj", self.down_proj);
  }

  template <class F>
  void projections(F&& f) const {
    f(gate_proj), f(up_proj), f(down_proj);
  }
  std::vector<Slice<Projection>> residual() {
    return {{&gate_proj, Axis::columns, 1}, {&up_proj, Axis::columns, 1}, {&down_proj, Axis::rows, 1}};
  }
  Group<Device, Projection> group(Index layer) {
    return {"channels", layer, &units,
            {{&gate_proj, Axis::rows, 1}, {&up_proj, Axis::rows, 1}, {&down_proj, Axis::columns, 1}}};
  }

  Projection gate_proj, up_proj, down_proj;
  UnitMask<Device> units;  // channels
};

}  // namespace espalier::inline v0
