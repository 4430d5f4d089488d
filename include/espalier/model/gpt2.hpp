// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/kernel/position.hpp>
#include <espalier/model/language_model.hpp>
#include <espalier/model/layer_widths.hpp>
#include <espalier/nn/block.hpp>
#include <espalier/nn/fused_attention.hpp>
#include <espalier/nn/layer_norm.hpp>
#include <espalier/nn/mlp.hpp>
#include <string>
#include <vector>

namespace espalier::inline v0 {

struct Gpt2Config {
  Index vocab = 50257, hidden = 768, layers = 12, heads = 12, groups = 12, head_dim = 64, feed_forward = 3072;
  Index max_positions = 1024;
  ActivationFunction function = ActivationFunction::gelu_tanh;
  double eps = 1e-5;
  bool scaled = true;           ///< scores by 1/√head_dim
  bool scaled_by_layer = false;  ///< and by 1 / (layer + 1)
  double dropout = 0.1, attention_dropout = 0.1, embedding_dropout = 0.1;  ///< while the model is trained
  bool tied = true;
  std::vector<LayerWidths> widths = {};  ///< layer by layer, where they differ; empty: all are alike

  LayerWidths layer(Index l) const { return widths.empty() ? LayerWidths{heads, groups, feed_forward} : widths[std::size_t(l)]; }

  double scale(Index layer) const {
    return (scaled ? 1 / std::sqrt(double(head_dim)) : 1.0) / (scaled_by_layer ? double(layer + 1) : 1.0);
  }
  void check_length(Index seq) const {
    require(seq <= max_positions, "batch: sequences of {} tokens; this model has {} learned positions (n_positions)", seq,
            max_positions);
  }
};

struct Gpt2Names {
  static constexpr const char *input_norm = "ln_1", *attention = "attn", *middle_norm = "ln_2", *feed_forward = "mlp";
};
struct Gpt2AttentionNames {
  static constexpr const char *in = "c_attn", *out = "c_proj";
  static constexpr bool transposed = true;  ///< files hold (in, out)
};
struct Gpt2MlpNames {
  static constexpr const char *up = "c_fc", *down = "c_proj";
  static constexpr bool transposed = true;
};

/// Token and position embeddings, blocks and a last norm: the checkpoint's "transformer".            Radford et al. 2019
/// BlockOf: another block of the same parts.
template <Backend Device, template <class> class Adapter, template <Backend, class, class, class, class> class BlockOf = PreNormBlock>
struct Gpt2Stem {
  using T = typename Device::Activation;
  using W = typename Device::Weight;
  using Norm = LayerNorm<Device>;
  using Attention = FusedAttention<Device, Adapter, Gpt2AttentionNames>;
  using FeedForward = Mlp<Device, Adapter, Gpt2MlpNames>;
  using Block = BlockOf<Device, Norm, Attention, FeedForward, Gpt2Names>;
  static constexpr const char *kName = "transformer", *kLayers = "h";

  Gpt2Stem(Device& device, const Gpt2Config& c, const typename Block::Projection::Options& options)
      : wte(device, c.vocab, c.hidden), wpe(device, c.max_positions, c.hidden), norm(device, c.hidden, c.eps),
        dropout{c.embedding_dropout} {
    layers.reserve(std::size_t(c.layers));
    for (Index l = 0; l < c.layers; ++l) {
      const std::string at = "transformer.h." + std::to_string(l);
      const LayerWidths w = c.layer(l);
      layers.emplace_back(Norm(device, c.hidden, c.eps),
                          Attention(device, c.hidden, w.heads, c.head_dim, c.scale(l), at + ".attn", options),
                          Norm(device, c.hidden, c.eps),
                          FeedForward(device, c.hidden, w.feed_forward, c.function, at + ".mlp", options));
      auto& block = layers.back();
      const std::uint32_t first = Dropout<Device>::kFirst + 4 + 4 * std::uint32_t(l);
      block.self_attn.dropout = {c.attention_dropout, first};
      block.attention_dropout = {c.dropout, first + 1}, block.output_dropout = {c.dropout, first + 2};
    }
  }

  const Tensor<Device, W, 2>& table() const { return wte; }
  View<T, 2> embed(Pass<Device>& pass, const TokenInput& in) const {
    auto x = pass.matrix(pass.shape.tokens(), wte.shape(1));
    pass.device.for_each_row(x.rows(),
                             kernel::EmbedWithPosition<T, W>{wte.view(), wpe.view(), in.tokens, pass.shape.seq, x, in.positions});
    dropout.apply(pass, x);
    return x;
  }
  typename Block::Context context(Pass<Device>&, const TokenInput& in) const { return {in.positions}; }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("wte.weight", self.wte);
    f("wpe.weight", self.wpe);
    for (std::size_t l = 0; l < self.layers.size(); ++l) f("h." + std::to_string(l), self.layers[l]);
    f("ln_f", self.norm);
  }

  Tensor<Device, W, 2> wte, wpe;  // (vocab, hidden), (positions, hidden)
  std::vector<Block> layers;
  Norm norm;
  Dropout<Device> dropout;
};

struct Gpt2Family {
  using Config = Gpt2Config;
  template <class Device, template <class> class Adapter>
  using Stem = Gpt2Stem<Device, Adapter>;
};

template <Backend Device, template <class> class Adapter>
using Gpt2 = LanguageModel<Device, Adapter, Gpt2Family>;

}  // namespace espalier::inline v0
