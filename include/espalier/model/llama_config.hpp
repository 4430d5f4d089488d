// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <espalier/io/dtype_names.hpp>
#include <espalier/model/config_reader.hpp>
#include <espalier/model/llama.hpp>
#include <espalier/model/rotary_config.hpp>
#include <espalier/model/stored_dtype.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace espalier::inline v0 {

/// What a model type of the family has always, never or by default, as transformers' configuration classes say.
struct LlamaKind {
  std::string_view model_type, architecture;
  Index vocab, feed_forward, groups, head_dim, max_positions;  ///< defaults; groups 0: as many as heads; head_dim 0: hidden / heads
  bool always_qkv_bias, attention_bias, mlp_bias, qk_norm;     ///< attention_bias, mlp_bias: the key is understood
};

inline constexpr std::array<LlamaKind, 4> llama_kinds = {{
    {"llama", "LlamaForCausalLM", 32000, 11008, 0, 0, 2048, false, true, true, false},
    {"mistral", "MistralForCausalLM", 32000, 14336, 8, 0, 131072, false, false, false, false},
    {"qwen2", "Qwen2ForCausalLM", 151936, 22016, 32, 0, 32768, true, false, false, false},
    {"qwen3", "Qwen3ForCausalLM", 151936, 22016, 32, 128, 32768, false, true, false, true},
}};

inline const LlamaKind* find_llama_kind(std::string_view model_type) {
  for (const LlamaKind& k : llama_kinds)
    if (k.model_type == model_type) return &k;
  return nullptr;
}

/// The kind that has exactly these biases and norms; null when no stock model type does.
inline const LlamaKind* kind_of(const LlamaConfig& c) {
  if (c.qk_norm) return c.qkv_bias == c.out_bias && !c.feed_forward_bias ? find_llama_kind("qwen3") : nullptr;
  if (c.qkv_bias && !c.out_bias) return c.feed_forward_bias ? nullptr : find_llama_kind("qwen2");
  return c.qkv_bias == c.out_bias ? find_llama_kind("llama") : nullptr;
}

namespace detail {

// Wide enough for any model, and so small that no product and no count leaves 64 bits.
inline constexpr Index kMostLayers = 65536, kMostWidth = Index{1} << 22;

/// A sliding window is not computed: 0 when no layer has one, else the longest sequence that never notices it.
inline Index sliding_window(const ConfigReader& config, const LlamaKind& kind, Index layers, Index max_positions) {
  if (kind.model_type == "llama") return 0;  // its class has no such key
  const bool mistral = kind.model_type == "mistral";
  const json::Value* const stated = config.find("sliding_window");
  if (!mistral && !config.flag("use_sliding_window", false)) return 0;
  if (stated != nullptr && stated->is_null()) return 0;
  if (!mistral && config.integer("max_window_layers", 28, 0, kMostLayers) >= layers) return 0;
  const Index window = config.integer("sliding_window", 4096, 1, Index{1} << 40);
  return window >= max_positions ? 0 : window;
}

}  // namespace detail

/// config.json → LlamaConfig. Everything is checked for range; what would change the function and is not supported is
/// refused by name; other keys are of no concern here and survive in the object that save() starts from.
inline LlamaConfig read_llama_config(const json::Value& object, const std::string& source = "config.json") {
  using detail::kMostLayers, detail::kMostWidth;
  const ConfigReader config(object, source);
  const std::string type = config.text("model_type");
  const LlamaKind* const kind = find_llama_kind(type);
  if (kind == nullptr) {
    config.refuse("model_type is {}, which is not supported: llama, mistral, qwen2 and qwen3 are", printable(type));
  }
  LlamaConfig c;
  c.vocab = config.integer("vocab_size", kind->vocab, 1, kMostWidth);
  c.hidden = config.integer("hidden_size", 4096, 1, kMostWidth);
  c.layers = config.integer("num_hidden_layers", 32, 1, kMostLayers);
  c.heads = config.integer("num_attention_heads", 32, 1, kMostWidth);
  c.groups = config.integer("num_key_value_heads", kind->groups == 0 || config.find("num_key_value_heads") ? c.heads : kind->groups, 1, kMostWidth);
  c.feed_forward = config.integer("intermediate_size", kind->feed_forward, 1, kMostWidth);
  c.max_positions = config.integer("max_position_embeddings", kind->max_positions, 1, Index{1} << 40);
  if (c.heads % c.groups != 0) {
    config.wrong("num_attention_heads is {}, which {} key-value heads (num_key_value_heads) cannot share evenly", c.heads, c.groups);
  }
  const bool derived = !config.given("head_dim") && (kind->head_dim == 0 || config.find("head_dim") != nullptr);
  if (derived && c.hidden % c.heads != 0) {
    config.wrong("hidden_size is {}, no multiple of num_attention_heads, which is {}, and head_dim is not given", c.hidden, c.heads);
  }
  c.head_dim = config.integer("head_dim", derived ? c.hidden / c.heads : kind->head_dim, 1, 65536);
  if (c.head_dim % 2 != 0) config.wrong("head_dim is {}, expected an even number: the rotary embedding turns pairs", c.head_dim);
  if (c.heads * c.head_dim > kMostWidth) {
    config.wrong("num_attention_heads x head_dim is {}, expected at most {}", c.heads * c.head_dim, kMostWidth);
  }
  c.eps = config.number("rms_norm_eps", 1e-6, 0);
  c.attention_dropout = config.probability("attention_dropout", 0.0);
  c.tied = config.flag("tie_word_embeddings", false);
  const bool attention_bias = config.flag("attention_bias", false), mlp_bias = config.flag("mlp_bias", false);
  if (attention_bias && !kind->attention_bias && !kind->always_qkv_bias) config.refuse("attention_bias is true, which {} does not have", type);
  if (mlp_bias && !kind->mlp_bias) config.refuse("mlp_bias is true, which {} does not have", type);
  c.qkv_bias = kind->always_qkv_bias || attention_bias;
  c.out_bias = attention_bias && !kind->always_qkv_bias;
  c.feed_forward_bias = mlp_bias;
  c.qk_norm = kind->qk_norm;
  c.rotary = RotaryConfig::read(config);
  c.longest = detail::sliding_window(config, *kind, c.layers, c.max_positions);

  const std::string act = config.text("hidden_act", "silu");
  config.expect(act == "silu" || act == "swish", "hidden_act", "silu is");
  if (config.given("pretraining_tp")) config.expect(config.integer("pretraining_tp", 1, Index{1} << 30) == 1, "pretraining_tp", "1 is");
  if (config.given("layer_types")) {
    const json::Value& layers = *config.find("layer_types");
    if (!layers.is_array()) config.wrong("layer_types is {}, expected a list", config.shown(layers));
    for (const json::Value& layer : layers.elements()) {
      const bool windowed = layer == json::Value("sliding_attention") && (c.longest > 0 || c.max_positions <= config.integer("sliding_window", 0, 0, Index{1} << 40));
      config.expect(layer == json::Value("full_attention") || windowed, "layer_types", "full_attention is");
    }
  }
  for (const std::string_view key : {"use_bidirectional_attention", "add_cross_attention"}) {
    if (config.given(key)) config.expect(!config.flag(key, false), key, "false is");
  }
  if (config.given("is_causal")) config.expect(config.flag("is_causal", true), "is_causal", "true is");
  for (const std::string_view key : {"quantization_config", "per_layer_config", "pruned_heads"}) {
    if (config.given(key)) config.expect(config.find(key)->size() == 0 && !config.find(key)->is_string(), key, "leave it out");
  }
  return c;
}

/// LlamaConfig → config.json. Starts from `object`, where the model came from, so that what is not understood survives;
/// an empty one becomes a new file. Written in the keys of transformers 4, which version 5 reads as well.
///
/// transformers 5 refuses a `llama` whose hidden_size is no multiple of its heads. Mistral's class computes the same
/// function and does not mind, so such a model is written as `mistral`.
inline json::Value write_llama_config(const LlamaConfig& c, json::Value object, Dtype dtype) {
  if (object.is_null()) object = json::Value::object();
  const LlamaKind* kind = kind_of(c);
  if (kind == nullptr) fail(Errc::unsupported, "no model type of transformers has these biases and norms: the model cannot be written");
  // Keep the type it came with where that has the same tensors: a Mistral stays a Mistral.
  if (const auto* stated = find_llama_kind(object.text("model_type", "")); stated != nullptr && stated->qk_norm == c.qk_norm &&
      stated->always_qkv_bias == (c.qkv_bias && !c.out_bias) && (stated->attention_bias || !c.out_bias) && (stated->mlp_bias || !c.feed_forward_bias)) {
    kind = stated;
  }
  if (kind->model_type == "llama" && c.hidden % c.heads != 0) {
    if (c.out_bias || c.feed_forward_bias) {
      fail(Errc::unsupported, "{} heads do not divide hidden_size {}, and transformers loads that only without biases: save with "
           "layout padded, or round the number of heads", c.heads, c.hidden);
    }
    kind = find_llama_kind("mistral");
  }
  const bool renamed = object.text("model_type", "") != kind->model_type;
  object.set("model_type", kind->model_type);
  if (renamed || !object.contains("architectures")) {
    object.set("architectures", json::Value(json::Value::Array{json::Value(kind->architecture)}));
  }
  if (renamed && kind->model_type == "mistral") object.erase("pretraining_tp"), object.set("sliding_window", json::Value());
  object.set("vocab_size", c.vocab);
  object.set("hidden_size", c.hidden);
  object.set("intermediate_size", c.feed_forward);
  object.set("num_hidden_layers", c.layers);
  object.set("num_attention_heads", c.heads);
  object.set("num_key_value_heads", c.groups);
  object.set("head_dim", c.head_dim);
  if (!object.contains("hidden_act")) object.set("hidden_act", "silu");
  object.set("max_position_embeddings", c.max_positions);
  object.set("rms_norm_eps", c.eps);
  object.set("tie_word_embeddings", c.tied);
  if (c.attention_dropout > 0 || object.given("attention_dropout")) object.set("attention_dropout", c.attention_dropout);
  if (kind->attention_bias) object.set("attention_bias", c.out_bias);
  if (kind->mlp_bias) object.set("mlp_bias", c.feed_forward_bias);
  if (kind->model_type == "mistral" && !object.contains("sliding_window")) object.set("sliding_window", c.longest > 0 ? json::Value(c.longest) : json::Value());
  RotaryConfig::write(object, c.rotary);
  object.erase("dtype");
  object.set("torch_dtype", torch_name(dtype));
  return object;
}

}  // namespace espalier::inline v0
