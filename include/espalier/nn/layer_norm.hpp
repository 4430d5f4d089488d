// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/visit.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/layer_norm.hpp>

namespace espalier::inline v0 {

/// y = gain∘(x − mean(x)) / √(var(x) + eps) + shift, per row.                            Ba, Kiros & Hinton 2016, eq. 3
template <Backend Device>
class LayerNorm {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  struct Activations {
    View<const T, 2> x;              // (rows, width)
    View<const A, 1> mean, inverse;  // (rows)
  };

  LayerNorm() = default;
  LayerNorm(Device& device, Index width, double epsilon) : weight(device, width), bias(device, width), eps(epsilon) {
    device.for_each(width, kernel::Fill<A>{weight.view().data, A(1)});
  }

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    auto y = pass.matrix(x.rows(), x.cols());
    auto mean = pass.template vector<A>(x.rows()), inverse = pass.template vector<A>(x.rows());
    pass.device.for_each_row(x.rows(),
                             kernel::LayerNorm<T, A>{x, weight.view(), bias.view(), eps, y, mean, inverse});
    act = {x, mean, inverse};
    return y;
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, const Activations& act, View<T, 2> dx) const {
    if (!dx) return;
    pass.device.for_each_row(
        dy.rows(), kernel::LayerNormBackward<T, A>{act.x, weight.view(), act.mean, act.inverse, dy, dx});
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("weight", self.weight);
    f("bias", self.bias);
  }

  Tensor<Device, A, 1> weight, bias;  // (width)  gain and shift
  double eps = 1e-5;
};

}  // namespace espalier::inline v0
