// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
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
    pass.device.for_each_row(x.rows(), kernel::RmsNorm<T, A>{x, weight.view(), eps, y, inverse});
    act = {x, inverse};
    return y;
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, const Activations& act, View<T, 2> dx) const {
    if (!dx) return;
    pass.device.for_each_row(dy.rows(), kernel::RmsNormBackward<T, A>{act.x, weight.view(), act.inverse, dy, dx});
  }
  /// Of `before` channels some have left that were zero: mean(x²) over those that are there is larger by before / width, so
  /// that gain √(before / width) and eps before / width give what there was before.
  void make_up(Device& device, Index before) {
    const double more = double(before) / double(weight.size());
    device.for_each(weight.size(), kernel::Scale<A>{weight.view().data, A(std::sqrt(more))});
    eps *= more;
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("weight", self.weight);
  }

  Tensor<Device, A, 1> weight;  // (width)  the gain
  double eps = 1e-6;
};

}  // namespace espalier::inline v0
