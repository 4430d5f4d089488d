// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/io/gguf.hpp>
#include <espalier/model/llama_config.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace espalier::inline v0 {

/// What llama.cpp computes under a name. `interleaved`: its rotary embedding turns neighbours (2j, 2j + 1) where
/// transformers turns (j, j + d/2), so that rows of q and k change places. `factors`: reads rope_freqs.
struct GgufArchitecture {
  std::string_view name;
  bool interleaved, factors;
};

/// The one that computes this model, or the reason why none does.
///
/// `llama`, `qwen2` and `qwen3` know one width; `deci` has lists of heads, key-value heads and feed-forward lengths, but
/// neither norms on q and k nor biases of more than one shape.
inline GgufArchitecture gguf_architecture(const LlamaConfig& c, bool alike) {
  const bool biased = c.qkv_bias || c.out_bias || c.feed_forward_bias;
  if (!alike) {
    if (c.qk_norm || biased) {
      fail(Errc::unsupported, "a GGUF whose layers differ is of architecture deci, which has no {}\n  hint: layout padded writes the "
           "same function with one width for all layers", c.qk_norm ? "norms on q and k" : "biases");
    }
    return {"deci", true, true};
  }
  const LlamaKind* const kind = kind_of(c);
  if (kind == nullptr || (kind->model_type == "qwen3" && biased)) {
    fail(Errc::unsupported, "no architecture of GGUF has these biases and norms on q and k: save as safetensors");
  }
  const bool neighbours = kind->model_type == "llama";
  if (!neighbours && c.rotary.scaling == RotaryOptions::Scaling::llama3) {
    fail(Errc::unsupported, "architecture {} of GGUF has no rope scaling of type llama3: save as safetensors", kind->model_type);
  }
  return {kind->model_type, neighbours, neighbours};
}

/// The settings of a model, under the keys of its architecture. `alike`: one width for all layers.
inline void describe_gguf(GgufMetadata& about, std::string_view architecture, const LlamaConfig& c, bool alike) {
  const auto key = [&](const char* name) { return std::string(architecture) + "." + name; };
  const auto widths = [&](const char* name, auto&& width) {
    if (alike) return about.count(key(name), width(c.layer(0)));
    std::vector<std::int32_t> all;
    for (Index l = 0; l < c.layers; ++l) all.push_back(std::int32_t(width(c.layer(l))));
    about.set(key(name), all);
  };
  about.count(key("vocab_size"), c.vocab);
  about.count(key("context_length"), c.longest > 0 ? std::min(c.longest, c.max_positions) : c.max_positions);
  about.count(key("embedding_length"), c.hidden);
  about.count(key("block_count"), c.layers);
  widths("feed_forward_length", [](const LayerWidths& w) { return w.feed_forward; });
  widths("attention.head_count", [](const LayerWidths& w) { return w.heads; });
  widths("attention.head_count_kv", [](const LayerWidths& w) { return w.groups; });
  about.count(key("attention.key_length"), c.head_dim);
  about.count(key("attention.value_length"), c.head_dim);
  about.set(key("attention.layer_norm_rms_epsilon"), float(c.eps));
  about.count(key("rope.dimension_count"), c.head_dim);
  about.set(key("rope.freq_base"), float(c.rotary.theta));
  if (c.rotary.scaling == RotaryOptions::Scaling::linear) {
    about.set(key("rope.scaling.type"), "linear");
    about.set(key("rope.scaling.factor"), float(c.rotary.factor));
  }
}

/// What each frequency is divided by: rope_freqs, for scaling of type llama3.
inline std::vector<float> gguf_rope_factors(const LlamaConfig& c) {
  RotaryOptions plain = c.rotary;
  plain.scaling = RotaryOptions::Scaling::none;
  const auto whole = plain.frequencies(c.head_dim), scaled = c.rotary.frequencies(c.head_dim);
  std::vector<float> factors;
  for (std::size_t j = 0; j < whole.size(); ++j) factors.push_back(float(whole[j] / scaled[j]));
  return factors;
}

/// model.layers.3.self_attn.q_proj.weight → blk.3.attn_q.weight
inline std::string gguf_name(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> whole[] = {{"model.embed_tokens.", "token_embd."}, {"model.norm.", "output_norm."}, {"lm_head.", "output."}};
  for (const auto& [from, to] : whole)
    if (name.starts_with(from)) return std::string(to) + std::string(name.substr(from.size()));
  constexpr std::pair<std::string_view, std::string_view> inner[] = {
      {"input_layernorm.", "attn_norm."},  {"self_attn.q_proj.", "attn_q."},       {"self_attn.k_proj.", "attn_k."},
      {"self_attn.v_proj.", "attn_v."},    {"self_attn.o_proj.", "attn_output."},  {"self_attn.q_norm.", "attn_q_norm."},
      {"self_attn.k_norm.", "attn_k_norm."}, {"post_attention_layernorm.", "ffn_norm."}, {"mlp.gate_proj.", "ffn_gate."},
      {"mlp.up_proj.", "ffn_up."},         {"mlp.down_proj.", "ffn_down."}};
  constexpr std::string_view layers = "model.layers.";
  if (name.starts_with(layers)) {
    const std::string_view rest = name.substr(layers.size());
    const std::size_t dot = rest.find('.');
    for (const auto& [from, to] : inner)
      if (dot != std::string_view::npos && rest.substr(dot + 1).starts_with(from))
        return "blk." + std::string(rest.substr(0, dot + 1)) + std::string(to) + std::string(rest.substr(dot + 1 + from.size()));
  }
  fail(Errc::unsupported, "tensor {} has no name in GGUF", printable(name));
}

}  // namespace espalier::inline v0
