// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/dtype_names.hpp>
#include <espalier/model/activation_names.hpp>
#include <espalier/model/config_reader.hpp>
#include <espalier/model/fixed_heads.hpp>
#include <espalier/model/label_config.hpp>
#include <espalier/model/stored_dtype.hpp>
#include <espalier/model/stored_model.hpp>
#include <espalier/model/vit.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

template <>
struct StoredModel<VitConfig> : FixedHeads<VitConfig> {
  static constexpr std::string_view kTypes[1] = {"vit"};
  static constexpr std::string_view kEmbedding = "vit.embeddings.cls_token", kHead = "", kPrefix = "vit.";

  static VitConfig read(const json::Value& object, const std::string& source) {
    const ConfigReader config(object, source);
    constexpr Index most = Index{1} << 22;
    const std::string type = config.text("model_type");
    if (type != "vit") config.refuse("model_type is {}, which is not supported here: vit is", printable(type));
    VitConfig c;
    c.hidden = config.integer("hidden_size", 768, 1, most);
    c.layers = config.integer("num_hidden_layers", 12, 1, 65536);
    c.heads = c.groups = config.integer("num_attention_heads", 12, 1, most);
    c.feed_forward = config.integer("intermediate_size", 3072, 1, 4 * most);
    c.grid.channels = config.integer("num_channels", 3, 1, 65536);
    read_sides(config, "image_size", 224, c.grid.height, c.grid.width);
    read_sides(config, "patch_size", 16, c.grid.down, c.grid.across);
    if (c.grid.down > c.grid.height || c.grid.across > c.grid.width) {
      config.wrong("patch_size is {} x {}, larger than image_size, which is {} x {}", c.grid.down, c.grid.across, c.grid.height, c.grid.width);
    }
    if (c.hidden % c.heads != 0) config.wrong("hidden_size is {}, no multiple of num_attention_heads, which is {}", c.hidden, c.heads);
    c.head_dim = c.hidden / c.heads;
    c.eps = config.number("layer_norm_eps", 1e-12, 0);
    c.deviation = config.number("initializer_range", 0.02, 0);
    c.dropout = config.probability("hidden_dropout_prob", 0.0);
    c.attention_dropout = config.probability("attention_probs_dropout_prob", 0.0);
    c.function = read_activation(config, "hidden_act", "gelu");
    c.qkv_bias = config.flag("qkv_bias", true);
    c.labels = read_labels(config);
    for (const std::string_view key : {"quantization_config", "pruned_heads"})
      if (config.given(key)) config.expect(config.find(key)->size() == 0 && !config.find(key)->is_string(), key, "leave it out");
    return c;
  }

  static json::Value write(const VitConfig& c, json::Value object, Dtype dtype) {
    if (object.is_null()) object = json::Value::object();
    object.set("model_type", "vit");
    object.set("architectures", json::Value(json::Value::Array{json::Value("ViTForImageClassification")}));
    object.set("hidden_size", c.hidden), object.set("num_hidden_layers", c.layers);
    object.set("num_attention_heads", c.hidden / c.head_dim), object.set("intermediate_size", c.feed_forward);
    object.set("num_channels", c.grid.channels), object.set("qkv_bias", c.qkv_bias), object.set("layer_norm_eps", c.eps);
    if (!object.contains("image_size")) object.set("image_size", json::Value(json::Value::Array{c.grid.height, c.grid.width}));
    if (!object.contains("patch_size")) object.set("patch_size", json::Value(json::Value::Array{c.grid.down, c.grid.across}));
    object.set("hidden_dropout_prob", c.dropout), object.set("attention_probs_dropout_prob", c.attention_dropout);
    if (!object.contains("hidden_act")) object.set("hidden_act", name_of(c.function));
    write_labels(c.labels, object);
    object.erase("dtype");
    object.set("torch_dtype", torch_name(dtype));
    return object;
  }

  template <class F>
  static void tensors(const VitConfig& c, F&& f) {
    using Extents = std::vector<Index>;
    const Index d = c.hidden, inner = c.heads * c.head_dim;
    const auto norm = [&](const std::string& at) {
      f(at + ".weight", Extents{d});
      f(at + ".bias", Extents{d});
    };
    const auto map = [&](const std::string& at, Index out, Index in, bool bias = true) {
      f(at + ".weight", Extents{out, in});
      if (bias) f(at + ".bias", Extents{out});
    };
    f(std::string("vit.embeddings.cls_token"), Extents{1, 1, d});
    f(std::string("vit.embeddings.position_embeddings"), Extents{1, 1 + c.grid.patches(), d});
    f(std::string("vit.embeddings.patch_embeddings.projection.weight"), Extents{d, c.grid.channels, c.grid.down, c.grid.across});
    f(std::string("vit.embeddings.patch_embeddings.projection.bias"), Extents{d});
    for (Index l = 0; l < c.layers; ++l) {
      const std::string at = "vit.encoder.layer." + std::to_string(l) + ".";
      norm(at + "layernorm_before");
      for (const char* name : {"query", "key", "value"}) map(at + "attention.attention." + name, inner, d, c.qkv_bias);
      map(at + "attention.output.dense", d, inner);
      norm(at + "layernorm_after");
      map(at + "intermediate.dense", c.feed_forward, d);
      map(at + "output.dense", d, c.feed_forward);
    }
    norm("vit.layernorm");
    map("classifier", c.labels.count, d);
  }
  static std::vector<std::string> head() { return {"classifier"}; }
  /// What classification does not read of a model that was trained without labels.
  static bool leftover(std::string_view name) {
    if (name.starts_with("vit.")) name.remove_prefix(4);
    return name.starts_with("pooler.") || name == "embeddings.mask_token";
  }
  /// PEFT goes by the modules of transformers 5, which read and write the files of version 4 under other names.
  static std::string adapter_path(std::string path) {
    const auto swap = [&](std::string_view from, std::string_view to) {
      if (const auto at = path.find(from); at != std::string::npos) path.replace(at, from.size(), to);
    };
    swap("vit.encoder.layer.", "vit.layers.");
    swap("attention.attention.query", "attention.q_proj"), swap("attention.attention.key", "attention.k_proj");
    swap("attention.attention.value", "attention.v_proj"), swap("attention.output.dense", "attention.o_proj");
    swap("intermediate.dense", "mlp.fc1"), swap("output.dense", "mlp.fc2");
    return path;
  }

 private:
  /// A number, or a list of height and width.
  static void read_sides(const ConfigReader& config, std::string_view key, Index otherwise, Index& height, Index& width) {
    constexpr Index most = 65536;
    const json::Value* const value = config.find(key);
    if (value == nullptr || !value->is_array()) {
      height = width = config.integer(key, otherwise, 1, most);
      return;
    }
    if (value->size() != 2 || !value->elements()[0].is_integer() || !value->elements()[1].is_integer()) {
      config.wrong("{} is {}, expected a number, or height and width", key, config.shown(*value));
    }
    height = value->elements()[0].as_index(key), width = value->elements()[1].as_index(key);
    if (height < 1 || height > most || width < 1 || width > most) config.wrong("{} is {}, expected 1 to {}", key, config.shown(*value), most);
  }
};

}  // namespace espalier::inline v0
