// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/activation.hpp>
#include <espalier/nn/group.hpp>

namespace espalier::inline v0 {

enum class ActivationFunction { relu, silu, gelu, gelu_tanh };

/// What a configuration calls it.
constexpr std::string_view name_of(ActivationFunction f) {
  return f == ActivationFunction::relu   ? "relu"
         : f == ActivationFunction::silu ? "silu"
         : f == ActivationFunction::gelu ? "gelu"
                                         : "gelu_new";
}

/// f(the functor of that name)
template <class F>
void with_function(ActivationFunction name, F&& f) {
  if (name == ActivationFunction::relu) return f(kernel::Relu{});
  if (name == ActivationFunction::silu) return f(kernel::Silu{});
  if (name == ActivationFunction::gelu) return f(kernel::Gelu{});
  f(kernel::GeluTanh{});
}

/// y = down( f(up(x)) ∘ M ),  M one bit a channel.                                       Vaswani et al. 2017, section 3.3
///
/// Names says what checkpoints call the two maps: up, down.
template <Backend Device, template <class> class Adapter, class Names>
class Mlp {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  struct Activations {
    typename Projection::Activations up, down;
  };

  Mlp() = default;
  Mlp(Device& device, Index hidden, Index width, ActivationFunction function, const std::string& path,
      const typename Projection::Options& adapter)
      : up(device, hidden, width, true, path + "." + Names::up, adapter),
        down(device, width, hidden, true, path + "." + Names::down, adapter),
        units(device, width), function_(function) {
    if constexpr (requires { Names::transposed; }) up.transposed = down.transposed = Names::transposed;
  }

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act, const OutputMask<A>& residual = {}) const {
    const auto u = up.forward(pass, x, act.up, units.outputs(1));
    auto h = pass.matrix(x.rows(), units.units());
    with_function(function_, [&](auto f) {
      pass.device.for_each_row(h.rows(), kernel::Activate<decltype(f), T, A>{u, units.forward(), h});
    });
    return down.forward(pass, h, act.down, residual);
  }

  void backward(Pass<Device>& pass, View<const T, 2> dy, const Activations& act, View<T, 2> dx, const OutputMask<A>& residual = {}) {
    auto scratch = pass.scratch();
    auto dh = scratch.zeros(act.up.y.rows(), act.up.y.cols());
    down.backward(scratch, dy, act.down, dh, residual);
    auto du = scratch.matrix(dh.rows(), dh.cols());
    with_function(function_, [&](auto f) {
      pass.device.for_each_row(
          dh.rows(), kernel::ActivateBackward<decltype(f), T, A>{act.up.y, dh, units.backward(), du});
    });
    up.backward(scratch, du, act.up, dx, units.outputs(1));
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(Names::up, self.up);
    f(Names::down, self.down);
  }

  template <class F>
  void projections(F&& f) const {
    f(up), f(down);
  }
  Group<Device, Projection> group(Index layer) {
    return {"channels", layer, &units, {{&up, Axis::rows, 1}, {&down, Axis::columns, 1}}};
  }

  Projection up, down;
  UnitMask<Device> units;  // channels

 private:
  ActivationFunction function_ = ActivationFunction::gelu;
};

}  // namespace espalier::inline v0
