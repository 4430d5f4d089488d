// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/segment.hpp>
#include <espalier/nn/layer_norm.hpp>

namespace espalier::inline v0 {

/// y = norm(word + segment + position), frozen: nothing below the blocks learns. Of no kinds or no positions nothing is
/// added.                                                                                              Devlin et al. 2018
template <Backend Device>
class TextEmbedding {
 public:
  using T = typename Device::Activation;
  using W = typename Device::Weight;

  TextEmbedding() = default;
  TextEmbedding(Device& device, Index vocab, Index positions, Index kinds, Index hidden, double eps)
      : word(device, vocab, hidden), norm(device, hidden, eps) {
    if (positions > 0) position = Tensor<Device, W, 2>(device, positions, hidden);
    if (kinds > 0) segment = Tensor<Device, W, 2>(device, kinds, hidden);
  }

  /// tokens: (rows); positions: (rows), or null where there are none; segments: (rows), or null: all 0.
  View<T, 2> forward(Pass<Device>& pass, Index rows, const int* tokens, const int* positions, const int* segments) const {
    auto x = pass.matrix(rows, word.shape(1));
    pass.device.for_each_row(rows, kernel::EmbedWithSegment<T, W>{word.view(), segment.view(), position.view(), tokens,
                                                                  segments, positions, x});
    typename LayerNorm<Device>::Activations act;
    return norm.forward(pass, x, act);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("word_embeddings.weight", self.word);
    if (!self.position.empty()) f("position_embeddings.weight", self.position);
    if (!self.segment.empty()) f("token_type_embeddings.weight", self.segment);
    f("LayerNorm", self.norm);
  }

  Tensor<Device, W, 2> word, position, segment;  // (vocab, hidden), (positions, hidden) or empty, (kinds, hidden) or empty
  LayerNorm<Device> norm;
};

}  // namespace espalier::inline v0
