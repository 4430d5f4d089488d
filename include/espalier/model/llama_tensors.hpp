// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/llama.hpp>
#include <string>
#include <vector>

namespace espalier::inline v0 {

/// f(name, shape) for every tensor that a checkpoint of this configuration holds, without building the model: files are
/// checked, and models counted, before any memory is taken.
template <class F>
void for_each_llama_tensor(const LlamaConfig& c, F&& f) {
  using Extents = std::vector<Index>;
  const Index d = c.hidden;
  f(std::string("model.embed_tokens.weight"), Extents{c.vocab, d});
  for (Index l = 0; l < c.layers; ++l) {
    const std::string at = "model.layers." + std::to_string(l) + ".";
    const auto linear = [&](const char* name, Index out, Index in, bool bias) {
      f(at + name + ".weight", Extents{out, in});
      if (bias) f(at + name + ".bias", Extents{out});
    };
    const LayerWidths w = c.layer(l);
    const Index q = w.heads * c.head_dim, kv = w.groups * c.head_dim, ff = w.feed_forward;
    f(at + "input_layernorm.weight", Extents{d});
    linear("self_attn.q_proj", q, d, c.qkv_bias);
    linear("self_attn.k_proj", kv, d, c.qkv_bias);
    linear("self_attn.v_proj", kv, d, c.qkv_bias);
    linear("self_attn.o_proj", d, q, c.out_bias);
    if (c.qk_norm) {
      f(at + "self_attn.q_norm.weight", Extents{c.head_dim});
      f(at + "self_attn.k_norm.weight", Extents{c.head_dim});
    }
    f(at + "post_attention_layernorm.weight", Extents{d});
    linear("mlp.gate_proj", ff, d, c.feed_forward_bias);
    linear("mlp.up_proj", ff, d, c.feed_forward_bias);
    linear("mlp.down_proj", d, ff, c.feed_forward_bias);
  }
  f(std::string("model.norm.weight"), Extents{d});
  if (!c.tied) f(std::string("lm_head.weight"), Extents{c.vocab, d});
}

/// Numbers in the base model.
inline Index count_parameters(const LlamaConfig& c) {
  Index n = 0;
  for_each_llama_tensor(c, [&](const std::string&, const std::vector<Index>& shape) {
    Index size = 1;
    for (const Index extent : shape) size *= extent;
    n += size;
  });
  return n;
}

}  // namespace espalier::inline v0
