// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/tensor.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/patches.hpp>

namespace espalier::inline v0 {

/// Patches of images as tokens, behind one that stands for the whole image; frozen.          Dosovitskiy et al. 2020, eq. 1
template <Backend Device>
class PatchEmbedding {
 public:
  using T = typename Device::Activation;
  using W = typename Device::Weight;
  using A = typename Device::Accumulate;

  PatchEmbedding(Device& device, const kernel::PatchGrid& g, Index hidden)
      : grid(g), first(device, Index(1), hidden), position(device, 1 + g.patches(), hidden),
        weight(device, hidden, g.numbers()), bias(device, hidden) {}

  /// pixels: (batch, channels, height, width) → (batch · (1 + patches), hidden)
  View<T, 2> forward(Pass<Device>& pass, const T* pixels) const {
    const Index batch = pass.shape.batch, hidden = weight.shape(0);
    auto y = pass.matrix(batch * position.shape(0), hidden);
    auto scratch = pass.scratch();
    auto unfolded = scratch.matrix(batch * grid.patches(), grid.numbers()), x = scratch.matrix(unfolded.rows(), hidden);
    pass.device.for_each_row(unfolded.rows(), kernel::Unfold<T>{grid, pixels, unfolded});
    pass.device.gemm(A(1), View<const T, 2>(unfolded), weight.view().t(), A(0), x);
    pass.device.for_each_row(y.rows(), kernel::PlacePatches<T, W, A>{x, bias.view(), first.view(), position.view(), y});
    return y;
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("cls_token", self.first);
    f("position_embeddings", self.position);
    f("patch_embeddings.projection.weight", self.weight);
    f("patch_embeddings.projection.bias", self.bias);
  }

  kernel::PatchGrid grid;
  Tensor<Device, W, 2> first, position, weight;  // (1, hidden), (1 + patches, hidden), (hidden, channels · down · across)
  Tensor<Device, A, 1> bias;                     // (hidden)
};

}  // namespace espalier::inline v0
