// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/dtype_names.hpp>
#include <espalier/model/activation_names.hpp>
#include <espalier/model/config_reader.hpp>
#include <espalier/model/fixed_heads.hpp>
#include <espalier/model/gpt2.hpp>
#include <espalier/model/stored_dtype.hpp>
#include <espalier/model/stored_model.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

template <>
struct StoredModel<Gpt2Config> : FixedHeads<Gpt2Config> {
  static constexpr std::string_view kTypes[1] = {"gpt2"};
  static constexpr std::string_view kEmbedding = "transformer.wte.weight", kHead = "lm_head.weight",
                                    kPrefix = "transformer.";

  static Gpt2Config read(const json::Value& object, const std::string& source) {
    const ConfigReader config(object, source);
    constexpr Index most = Index{1} << 22;
    const std::string type = config.text("model_type");
    if (type != "gpt2") config.refuse("model_type is {}, which is not supported here: gpt2 is", printable(type));
    Gpt2Config c;
    c.vocab = config.integer("vocab_size", 50257, 1, most);
    c.hidden = config.integer("n_embd", 768, 1, most);
    c.layers = config.integer("n_layer", 12, 1, 65536);
    c.heads = c.groups = config.integer("n_head", 12, 1, most);
    c.max_positions = config.integer("n_positions", 1024, 1, Index{1} << 30);
    c.feed_forward = config.integer("n_inner", 4 * c.hidden, 1, 4 * most);
    if (c.hidden % c.heads != 0) config.wrong("n_embd is {}, no multiple of n_head, which is {}", c.hidden, c.heads);
    c.head_dim = c.hidden / c.heads;
    c.eps = config.number("layer_norm_epsilon", 1e-5, 0);
    c.function = read_activation(config, "activation_function", "gelu_new");
    c.scaled = config.flag("scale_attn_weights", true);
    c.scaled_by_layer = config.flag("scale_attn_by_inverse_layer_idx", false);
    c.dropout = config.probability("resid_pdrop", 0.1);
    c.attention_dropout = config.probability("attn_pdrop", 0.1);
    c.embedding_dropout = config.probability("embd_pdrop", 0.1);
    c.tied = config.flag("tie_word_embeddings", true);
    if (config.given("add_cross_attention")) config.expect(!config.flag("add_cross_attention", false), "add_cross_attention", "false is");
    for (const std::string_view key : {"quantization_config", "pruned_heads"})
      if (config.given(key)) config.expect(config.find(key)->size() == 0 && !config.find(key)->is_string(), key, "leave it out");
    return c;
  }

  static json::Value write(const Gpt2Config& c, json::Value object, Dtype dtype) {
    if (object.is_null()) object = json::Value::object();
    object.set("model_type", "gpt2");
    if (!object.contains("architectures")) object.set("architectures", json::Value(json::Value::Array{json::Value("GPT2LMHeadModel")}));
    object.set("vocab_size", c.vocab), object.set("n_embd", c.hidden), object.set("n_layer", c.layers);
    object.set("n_head", c.hidden / c.head_dim), object.set("n_positions", c.max_positions);
    object.set("n_inner", c.feed_forward), object.set("layer_norm_epsilon", c.eps);
    if (!object.contains("activation_function")) object.set("activation_function", name_of(c.function));
    object.set("scale_attn_weights", c.scaled), object.set("scale_attn_by_inverse_layer_idx", c.scaled_by_layer);
    object.set("resid_pdrop", c.dropout), object.set("attn_pdrop", c.attention_dropout), object.set("embd_pdrop", c.embedding_dropout);
    object.set("tie_word_embeddings", c.tied);
    object.erase("dtype");
    object.set("torch_dtype", torch_name(dtype));
    return object;
  }

  template <class F>
  static void tensors(const Gpt2Config& c, F&& f) {
    using Extents = std::vector<Index>;
    const Index d = c.hidden;
    f(std::string("transformer.wte.weight"), Extents{c.vocab, d});
    f(std::string("transformer.wpe.weight"), Extents{c.max_positions, d});
    const auto norm = [&](const std::string& at) {
      f(at + ".weight", Extents{d});
      f(at + ".bias", Extents{d});
    };
    for (Index l = 0; l < c.layers; ++l) {
      const std::string at = "transformer.h." + std::to_string(l) + ".";
      const auto map = [&](const char* name, Index out, Index in) {
        f(at + name + ".weight", Extents{in, out});
        f(at + name + ".bias", Extents{out});
      };
      const LayerWidths w = c.layer(l);
      const Index inner = w.heads * c.head_dim;
      norm(at + "ln_1");
      map("attn.c_attn", 3 * inner, d);
      map("attn.c_proj", d, inner);
      norm(at + "ln_2");
      map("mlp.c_fc", w.feed_forward, d);
      map("mlp.c_proj", d, w.feed_forward);
    }
    norm("transformer.ln_f");
    if (!c.tied) f(std::string("lm_head.weight"), Extents{c.vocab, d});
  }
  /// Causal masks, which old files store.
  static bool leftover(std::string_view name) { return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"); }
};

}  // namespace espalier::inline v0
