// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/gather.hpp>
#include <espalier/model/language_model.hpp>
#include <espalier/model/layer_widths.hpp>
#include <espalier/nn/block.hpp>
#include <string>
#include <vector>

namespace espalier::inline v0 {

/// The Llama family: Llama, Mistral, Qwen2 (q/k/v bias), Qwen3 (q/k norm).
struct LlamaConfig {
  Index vocab = 32000, hidden = 4096, layers = 32, heads = 32, groups = 32, head_dim = 128, feed_forward = 11008;
  bool qkv_bias = false, out_bias = false, feed_forward_bias = false, qk_norm = false, tied = false;
  double eps = 1e-6, attention_dropout = 0;  ///< dropout: of probabilities, while the model is trained
  RotaryOptions rotary = {};
  Index max_positions = 2048;
  Index longest = 0;  ///< a sliding window that no longer sequence may outgrow, since it is not computed; 0: there is none

  std::vector<LayerWidths> widths = {};  ///< layer by layer, where they differ; empty: all are alike

  LayerWidths layer(Index l) const { return widths.empty() ? LayerWidths{heads, groups, feed_forward} : widths[std::size_t(l)]; }
  void check_length(Index seq) const {
    require(longest == 0 || seq <= longest,
            "batch: sequences of {} tokens; this model has a sliding window (sliding_window) of {}, which is not supported "
            "beyond its length", seq, longest);
  }
  BlockOptions block(Index l) const {
    const LayerWidths w = layer(l);
    return {.attention = {.hidden = hidden, .heads = w.heads, .groups = w.groups, .head_dim = head_dim,
                          .qkv_bias = qkv_bias, .out_bias = out_bias, .qk_norm = qk_norm, .eps = eps},
            .feed_forward = w.feed_forward, .feed_forward_bias = feed_forward_bias, .eps = eps};
  }
};

/// Token embedding, decoder blocks and a last norm: the checkpoint's "model".                  Touvron et al. 2023
template <Backend Device, template <class> class Adapter>
struct LlamaStem {
  using T = typename Device::Activation;
  using W = typename Device::Weight;
  using Block = DecoderBlock<Device, Adapter>;
  using Norm = RmsNorm<Device>;
  static constexpr const char *kName = "model", *kLayers = "layers";

  LlamaStem(Device& device, const LlamaConfig& c, const typename Block::Projection::Options& options)
      : embed_tokens(device, c.vocab, c.hidden), norm(device, c.hidden, c.eps), rotary(device, c.head_dim, c.rotary) {
    layers.reserve(std::size_t(c.layers));
    for (Index l = 0; l < c.layers; ++l) {
      layers.emplace_back(device, c.block(l), "model.layers." + std::to_string(l), options);
      layers.back().self_attn.dropout = {c.attention_dropout, Dropout<Device>::kFirst + 4 + 4 * std::uint32_t(l)};
    }
  }

  const Tensor<Device, W, 2>& table() const { return embed_tokens; }
  View<T, 2> embed(Pass<Device>& pass, const TokenInput& in) const {
    auto x = pass.matrix(pass.shape.tokens(), embed_tokens.shape(1));
    pass.device.for_each_row(x.rows(), kernel::Embed<T, W>{embed_tokens.view(), in.tokens, x});
    return x;
  }
  RotaryAngles<Device> context(Pass<Device>& pass, const TokenInput& in) const { return rotary.angles(pass, in.positions); }

  /// What is as wide as the residual stream and no projection's.
  template <class F>
  void residual(F&& f) {
    f(embed_tokens);
    for (Block& block : layers) block.norms([&](Norm& n) { f(n.weight); });
    f(norm.weight);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("embed_tokens.weight", self.embed_tokens);
    for (std::size_t l = 0; l < self.layers.size(); ++l) f("layers." + std::to_string(l), self.layers[l]);
    f("norm", self.norm);
  }

  Tensor<Device, W, 2> embed_tokens;  // (vocab, hidden)
  std::vector<Block> layers;
  Norm norm;
  Rotary<Device> rotary;
};

struct LlamaFamily {
  using Config = LlamaConfig;
  template <class Device, template <class> class Adapter>
  using Stem = LlamaStem<Device, Adapter>;
};

template <Backend Device, template <class> class Adapter>
using Llama = LanguageModel<Device, Adapter, LlamaFamily>;

}  // namespace espalier::inline v0
