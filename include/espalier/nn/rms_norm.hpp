// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/visit.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/norm.hpp>

namespace espalier::inline v0 {

/// y = gain∘x / √(mean(x²) + eps), per row.                                                 Zhang & Sennrich 2019, eq. 4
template <Backend Device>
class RmsNorm {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  struct Activations {
    View<const T, 2> x;        // (rows, width)
    View<const A, 1> inverse;  // (rows)
  };

  RmsNorm() = default;
  RmsNorm(Device& device, Index width, double epsilon) : weight(device, width), eps(epsilon) {
    device.for_each(width, kernel::Fill<A>{weight.view().data, A(1)});
  }

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    auto y = pass.matrix(x.rows(), x.cols());
    auto inverse = pass.template vector<A>(x.rows());
    pass.device.for_each_row(x.rows(), kernel::RmsNorm<T, A>{x, weight.view(), eps, y, inverse, over});
    act = {x, inverse};
    return y;
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, const Activations& act, View<T, 2> dx) const {
    if (!dx) return;
    pass.device.for_each_row(dy.rows(), kernel::RmsNormBackward<T, A>{act.x, weight.view(), act.inverse, dy, dx, over});
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("weight", self.weight);
  }

  Tensor<Device, A, 1> weight;  // (width)  the gain
  double eps = 1e-6;
  /// Channels that the mean is over, those that have left and were zero among them; 0: all are there. A file, which has one
  /// width, says the same with gain √(over / width) and eps over / width.
  Index over = 0;
};

}  // namespace espalier::inline v0
