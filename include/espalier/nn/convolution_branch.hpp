// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/tensor.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/pointwise.hpp>
#include <espalier/kernel/unfold_sequence.hpp>
#include <espalier/nn/dropout.hpp>
#include <espalier/nn/layer_norm.hpp>
#include <espalier/nn/mlp.hpp>

namespace espalier::inline v0 {

/// y = norm(r + f((W ∗ x + b)∘v))∘v,  v 0 where there is padding: a convolution along the sequence of a block's input x beside the
/// block, whose output is r. Frozen, and so is what gave x: gradients go to r alone.          DeBERTa v2, He et al. 2020, code
template <Backend Device>
class ConvolutionBranch {
 public:
  using T = typename Device::Activation;
  using W = typename Device::Weight;
  using A = typename Device::Accumulate;
  using Activations = typename LayerNorm<Device>::Activations;

  ConvolutionBranch() = default;
  ConvolutionBranch(Device& device, Index hidden, Index taps, ActivationFunction function, double eps)
      : weight(device, hidden, hidden * taps), bias(device, hidden), norm(device, hidden, eps), function_(function) {}
  explicit operator bool() const { return !weight.empty(); }

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, View<const T, 2> r, const int* visible, Activations& act) const {
    auto sum = pass.matrix(r.rows(), r.cols());
    {
      auto scratch = pass.scratch();
      const Index taps = weight.shape(1) / x.cols();
      auto unfolded = scratch.matrix(x.rows(), weight.shape(1));
      pass.device.for_each_row(x.rows(), kernel::UnfoldSequence<T>{x, visible, pass.shape.seq, taps, unfolded});
      pass.device.gemm(A(1), View<const T, 2>(unfolded), weight.view().t(), A(0), sum);
    }
    pass.device.for_each_row(sum.rows(), kernel::AddBias<T, A>{bias.view(), sum});
    clear(pass, visible, sum);
    dropout.apply(pass, sum);
    with_function(function_, [&](auto f) {
      pass.device.for_each(sum.size(), kernel::Apply<decltype(f), T, T, A>{sum.data, sum.data});
    });
    pass.device.for_each(sum.size(), kernel::Accumulate<T>{r.data, sum.data});
    const auto y = norm.forward(pass, sum, act);
    clear(pass, visible, y);
    return y;
  }
  /// dr += …
  void backward(Pass<Device>& pass, View<const T, 2> dy, const int* visible, const Activations& act, View<T, 2> dr) const {
    auto scratch = pass.scratch();
    auto d = scratch.matrix(dy.rows(), dy.cols());
    pass.device.for_each(d.size(), kernel::Copy<T, T>{dy.data, d.data});
    clear(pass, visible, d);
    norm.backward(scratch, d, act, dr);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("conv.weight", self.weight);
    f("conv.bias", self.bias);
    f("LayerNorm", self.norm);
  }

  Tensor<Device, W, 2> weight;  // (hidden, hidden · taps), or empty
  Tensor<Device, A, 1> bias;    // (hidden)
  LayerNorm<Device> norm;
  Dropout<Device> dropout{};

 private:
  static void clear(Pass<Device>& pass, const int* visible, View<T, 2> x) {
    if (visible != nullptr) pass.device.for_each_row(x.rows(), kernel::ClearPadding<T>{visible, x});
  }
  ActivationFunction function_ = ActivationFunction::gelu;
};

/// A block, the first of which has a convolution beside it. The convolution belongs to whoever holds the blocks.
template <Backend Device, class Block>
class BranchedBlock : public Block {
 public:
  using T = typename Device::Activation;
  using Branch = ConvolutionBranch<Device>;
  struct Context : Block::Context {
    const Branch* branch = nullptr;
  };
  struct Activations : Block::Activations {
    typename Branch::Activations branch;
  };
  using Block::Block;

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act, const Context& context) const {
    const auto y = Block::forward(pass, x, act, context);
    return branches(context) ? context.branch->forward(pass, x, y, context.sees.visible, act.branch) : y;
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx, const Context& context) {
    if (!branches(context)) return Block::backward(pass, dy, act, dx, context);
    auto scratch = pass.scratch();
    auto d = scratch.zeros(dy.rows(), dy.cols());
    context.branch->backward(scratch, dy, context.sees.visible, act.branch, d);
    Block::backward(scratch, d, act, dx, context);
  }

  bool first = false;

 private:
  bool branches(const Context& context) const { return first && context.branch != nullptr; }
};

}  // namespace espalier::inline v0
