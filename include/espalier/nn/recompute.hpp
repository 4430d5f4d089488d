// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/elementwise.hpp>

namespace espalier::inline v0 {

/// A block's forward that keeps nothing but its input, act.x.                                         Chen et al. 2016
template <Backend Device, class Block>
View<typename Device::Activation, 2> forward_briefly(const Block& block, Pass<Device>& pass,
                                                     View<const typename Device::Activation, 2> x,
                                                     typename Block::Activations& act,
                                                     const typename Block::Context& context) {
  using T = typename Device::Activation;
  auto y = pass.matrix(x.rows(), x.cols());
  auto scratch = pass.scratch();
  const auto inner = block.forward(scratch, x, act, context);
  pass.device.for_each(y.size(), kernel::Copy<T, T>{inner.data, y.data});
  return y;
}
/// Backward after forward_briefly: the block runs forward once more.
template <Backend Device, class Block>
void backward_briefly(Block& block, Pass<Device>& pass, View<const typename Device::Activation, 2> dy,
                      typename Block::Activations& act, View<typename Device::Activation, 2> dx,
                      const typename Block::Context& context) {
  auto scratch = pass.scratch();
  block.forward(scratch, act.x, act, context);
  block.backward(scratch, dy, act, dx, context);
}

}  // namespace espalier::inline v0
