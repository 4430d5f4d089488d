// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <espalier/nn/recompute.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// Blocks one behind the other. Gradients reach the lowest block that learns or is watched, and no further: what lies
/// below the blocks is frozen.
template <Backend Device, class Block>
class BlockStack {
 public:
  using T = typename Device::Activation;
  using Context = typename Block::Context;

  View<T, 2> forward(Pass<Device>& pass, View<T, 2> x, const Context& context) {
    activations_.resize(layers.size());
    for (std::size_t l = 0; l < layers.size(); ++l)
      x = recompute ? forward_briefly(layers[l], pass, View<const T, 2>(x), activations_[l], context)
                    : layers[l].forward(pass, x, activations_[l], context);
    return x;
  }
  bool learns() const { return lowest_learner() < layers.size(); }
  /// dh: (tokens, hidden) of the last block's output; scratch afterwards.
  void backward(Pass<Device>& pass, View<T, 2> dh, const Context& context) {
    const std::size_t lowest = lowest_learner();
    auto scratch = pass.scratch();
    auto d = scratch.matrix(dh.rows(), dh.cols());
    for (std::size_t l = layers.size(); l-- > lowest; std::swap(d, dh)) {
      if (l > lowest) pass.device.for_each(d.size(), kernel::Fill<T>{d.data, T(0.0f)});
      const auto below = l > lowest ? d : View<T, 2>{};
      if (recompute) {
        backward_briefly(layers[l], scratch, View<const T, 2>(dh), activations_[l], below, context);
      } else {
        layers[l].backward(scratch, dh, activations_[l], below, context);
      }
    }
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    for (std::size_t l = 0; l < self.layers.size(); ++l) f(std::to_string(l), self.layers[l]);
  }
  template <class F>
  void groups(F&& f) {
    for (std::size_t l = 0; l < layers.size(); ++l) layers[l].groups(Index(l), f);
  }

  std::vector<Block> layers;
  bool recompute = false;  ///< keep only each block's input and run it forward twice: less memory, a third more work

 private:
  std::size_t lowest_learner() const {
    for (std::size_t l = 0; l < layers.size(); ++l)
      if (layers[l].learns()) return l;
    return layers.size();
  }

  std::vector<typename Block::Activations> activations_;
};

}  // namespace espalier::inline v0
