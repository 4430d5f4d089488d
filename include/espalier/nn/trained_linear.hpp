// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/parameter.hpp>
#include <espalier/core/visit.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/label_loss.hpp>

namespace espalier::inline v0 {

/// y = x Wᵀ + b, and all of it learns: the head of a task.   W: (out, in), b: (1, out)
/// dW += dyᵀ x,  db += Σ_t dy_t,  dx += dy W.
template <Backend Device>
class TrainedLinear {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  struct Activations {
    View<const T, 2> x;  // (rows, in)
  };

  TrainedLinear() = default;
  TrainedLinear(Index in, Index out) : weight(out, in), bias(1, out) {}
  Index in() const { return weight.cols; }
  Index out() const { return weight.rows; }

  View<A, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    auto y = pass.template matrix<A>(x.rows(), out());
    pass.device.gemm(A(1), x, View<const A, 2>(weight.value).t(), A(0), y);
    pass.device.for_each_row(y.rows(), kernel::AddBias<A, A>{flat(View<const A, 2>(bias.value)), y});
    act.x = x;
    return y;
  }
  void backward(Pass<Device>& pass, View<const A, 2> dy, const Activations& act, View<T, 2> dx) {
    pass.device.gemm(A(1), dy.t(), act.x, A(1), weight.grad);
    pass.device.for_each_row(out(), kernel::ColumnSums<A>{dy, flat(bias.grad)});
    if (dx) pass.device.gemm(A(1), dy, View<const A, 2>(weight.value), A(1), dx);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("weight", self.weight);
    f("bias", self.bias);
  }

  Parameter<Device> weight, bias;  // (out, in), (1, out)
};

}  // namespace espalier::inline v0
