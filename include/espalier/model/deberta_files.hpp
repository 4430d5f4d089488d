// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/io/dtype_names.hpp>
#include <espalier/model/activation_names.hpp>
#include <espalier/model/config_reader.hpp>
#include <espalier/model/deberta.hpp>
#include <espalier/model/fixed_heads.hpp>
#include <espalier/model/label_config.hpp>
#include <espalier/model/stored_dtype.hpp>
#include <espalier/model/stored_model.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

template <class Task>
struct StoredModel<DebertaTaskConfig<Task>> : FixedHeads<DebertaTaskConfig<Task>> {
  using Config = DebertaTaskConfig<Task>;
  static constexpr bool masked = std::is_same_v<Task, MaskedLanguage>;
  static constexpr std::string_view kTypes[1] = {"deberta-v2"};
  static constexpr std::string_view kPrefix = "deberta.", kEmbedding = "deberta.embeddings.word_embeddings.weight",
                                    kHead = "cls.predictions.decoder.weight", kLegacy = "cls.predictions.", kPublished = "lm_predictions.";

  static Config read(const json::Value& object, const std::string& source) {
    const ConfigReader config(object, source);
    constexpr Index most = Index{1} << 22;
    const std::string type = config.text("model_type");
    if (type != kTypes[0]) config.refuse("model_type is {}, which is not supported here: {} is", printable(type), kTypes[0]);
    Config c;
    c.vocab = config.integer("vocab_size", 128100, 1, most);
    c.hidden = config.integer("hidden_size", 1536, 1, most);
    c.layers = config.integer("num_hidden_layers", 24, 1, 65536);
    c.heads = c.groups = config.integer("num_attention_heads", 24, 1, most);
    c.feed_forward = config.integer("intermediate_size", 6144, 1, 4 * most);
    const Index positions = config.integer("max_position_embeddings", 512, 1, Index{1} << 30);
    c.positions = config.flag("position_biased_input", true) ? positions : 0;
    c.segments = config.integer("type_vocab_size", 0, 0, most);
    c.pad = config.integer("pad_token_id", 0, 0, c.vocab - 1);
    if (c.hidden % c.heads != 0) config.wrong("hidden_size is {}, no multiple of num_attention_heads, which is {}", c.hidden, c.heads);
    c.head_dim = c.hidden / c.heads;
    c.eps = config.number("layer_norm_eps", 1e-7, 0);
    c.deviation = config.number("initializer_range", 0.02, 0);
    c.dropout = config.probability("hidden_dropout_prob", 0.1);
    c.attention_dropout = config.probability("attention_probs_dropout_prob", 0.1);
    c.pooler_dropout = config.probability("pooler_dropout", 0);
    c.classifier_dropout = config.probability("cls_dropout", c.dropout);
    c.function = read_activation(config, "hidden_act", "gelu");
    c.labels = read_labels(config);
    read_positions(config, positions, c);
    // What the class has besides, and nobody computes here.
    const auto only = [&](std::string_view key, Index value) {
      if (config.given(key)) config.expect(config.integer(key, -most, most) == value, key, format("{} is", value));
    };
    c.taps = config.integer("conv_kernel_size", 0, 0, 65535);
    if (c.taps > 0) {
      if (c.taps % 2 == 0) config.wrong("conv_kernel_size is {}, expected an odd number", c.taps);
      c.convolution_function = read_activation(config, "conv_act", "tanh");
      only("conv_groups", 1);
    }
    only("embedding_size", c.hidden), only("pooler_hidden_size", c.hidden), only("attention_head_size", c.head_dim);
    if (config.given("pooler_hidden_act")) config.expect(config.text("pooler_hidden_act") == "gelu", "pooler_hidden_act", "gelu is");
    if (const json::Value* quantised = config.find("quantization_config"); quantised != nullptr && !quantised->is_null())
      config.expect(quantised->is_object() && quantised->size() == 0, "quantization_config", "leave it out");
    if (masked) {
      c.legacy = config.flag("legacy", true);
      if (c.legacy && config.given("tie_word_embeddings"))  // the other head has no map of its own
        config.expect(config.flag("tie_word_embeddings", true), "tie_word_embeddings", "true is");
      c.tied = true;
    }
    return c;
  }

  static json::Value write(const Config& c, json::Value object, Dtype dtype) {
    if (object.is_null()) object = json::Value::object();
    object.set("model_type", kTypes[0]);
    object.set("architectures", json::Value(json::Value::Array{
                                    json::Value(masked ? "DebertaV2ForMaskedLM" : "DebertaV2ForSequenceClassification")}));
    object.set("vocab_size", c.vocab), object.set("hidden_size", c.hidden), object.set("num_hidden_layers", c.layers);
    object.set("num_attention_heads", c.hidden / c.head_dim), object.set("intermediate_size", c.feed_forward);
    object.set("type_vocab_size", c.segments), object.set("pad_token_id", c.pad), object.set("layer_norm_eps", c.eps);
    object.set("position_biased_input", c.positions > 0), object.set("relative_attention", c.relative);
    object.set("share_att_key", c.shared);
    if (!object.given("max_position_embeddings")) object.set("max_position_embeddings", c.positions > 0 ? c.positions : c.buckets.reach);
    if (!object.given("max_relative_positions")) object.set("max_relative_positions", c.buckets.reach);
    if (!object.given("position_buckets")) object.set("position_buckets", c.buckets.buckets > 0 ? c.buckets.buckets : -1);
    if (!object.given("norm_rel_ebd")) object.set("norm_rel_ebd", c.normed ? "layer_norm" : "none");
    if (!object.given("pos_att_type")) {
      json::Value::Array terms;
      if (c.position_to_content) terms.emplace_back("p2c");
      if (c.content_to_position) terms.emplace_back("c2p");
      object.set("pos_att_type", json::Value(terms));
    }
    if (c.taps > 0) {
      object.set("conv_kernel_size", c.taps);
      if (!object.given("conv_act")) object.set("conv_act", name_of(c.convolution_function));
    }
    if (!object.contains("hidden_act")) object.set("hidden_act", name_of(c.function));
    if (!masked) write_labels(c.labels, object);
    if (masked && !c.legacy) object.set("legacy", false);
    object.erase("dtype");
    object.set("torch_dtype", torch_name(dtype));
    return object;
  }

  template <class F>
  static void tensors(const Config& c, F&& f) {
    using Extents = std::vector<Index>;
    const Index d = c.hidden, inner = c.heads * c.head_dim;
    const std::string stem = "deberta.";
    const auto norm = [&](const std::string& at) {
      f(at + ".weight", Extents{d});
      f(at + ".bias", Extents{d});
    };
    const auto map = [&](const std::string& at, Index out, Index in) {
      f(at + ".weight", Extents{out, in});
      f(at + ".bias", Extents{out});
    };
    f(std::string(kEmbedding), Extents{c.vocab, d});
    if (c.positions > 0) f(stem + "embeddings.position_embeddings.weight", Extents{c.positions, d});
    if (c.segments > 0) f(stem + "embeddings.token_type_embeddings.weight", Extents{c.segments, d});
    norm(stem + "embeddings.LayerNorm");
    for (Index l = 0; l < c.layers; ++l) {
      const std::string at = stem + "encoder.layer." + std::to_string(l) + ".", self = at + "attention.self.";
      for (const char* name : {"query_proj", "key_proj", "value_proj"}) map(self + name, inner, d);
      if (c.relative && !c.shared && c.content_to_position) map(self + "pos_key_proj", inner, d);
      if (c.relative && !c.shared && c.position_to_content) map(self + "pos_query_proj", inner, d);
      map(at + "attention.output.dense", d, inner);
      norm(at + "attention.output.LayerNorm");
      map(at + "intermediate.dense", c.feed_forward, d);
      map(at + "output.dense", d, c.feed_forward);
      norm(at + "output.LayerNorm");
    }
    if (c.relative) f(stem + "encoder.rel_embeddings.weight", Extents{c.buckets.count(), d});
    if (c.normed) norm(stem + "encoder.LayerNorm");
    if (c.taps > 0) {
      f(stem + "encoder.conv.conv.weight", Extents{d, d, c.taps});
      f(stem + "encoder.conv.conv.bias", Extents{d});
      norm(stem + "encoder.conv.LayerNorm");
    }
    if (masked) {
      const MaskedNames& names = Deberta::masked(c.legacy);
      map(names.transform, d, d);
      norm(names.norm);
      f(std::string(names.bias), Extents{c.vocab});
    } else {
      map(Deberta::first, d, d);
      map(Deberta::out, c.labels.count, d);
    }
  }
  /// Classifier and pooler may be new.
  static std::vector<std::string> head() {
    if (masked) return {};
    return {Deberta::out, Deberta::first};
  }
  /// The head for hidden tokens has two names, and config.json says which.
  static std::string missing(std::string_view name, const TensorFiles& files) {
    for (const bool legacy : {true, false})
      if (name.starts_with(legacy ? kLegacy : kPublished) && files.contains(std::string(Deberta::masked(!legacy).transform) + ".weight"))
        return format("the files have this head as {}*: set \"legacy\": {} in config.json", legacy ? kPublished : kLegacy, !legacy);
    return name.starts_with(Deberta::masked(true).transform) ? "the files are those of another task: they have no head for hidden tokens" : "";
  }
  /// Positions that a model without them carries along, and the heads of other tasks.
  static bool leftover(std::string_view name) {
    if (name.ends_with("embeddings.position_ids") || name.ends_with("embeddings.position_embeddings.weight")) return true;
    if (name.starts_with(kPublished) || name.starts_with("mask_predictions.")) return true;
    if (masked) return name.starts_with("pooler.") || name.starts_with("classifier.") || name == "cls.predictions.decoder.bias";
    return name.starts_with(kLegacy);
  }

 private:
  /// The parts of a text between bars, or of a list.
  static std::vector<std::string> parts(const ConfigReader& config, std::string_view key) {
    std::vector<std::string> all;
    if (!config.given(key)) return all;
    if (!config.find(key)->is_string()) {
      for (const json::Value& part : config.find(key)->elements(key)) all.push_back(part.as_string(key));
      return all;
    }
    std::string part;
    for (const char c : config.text(key) + "|") {
      if (c == '|') {
        if (!part.empty()) all.push_back(std::move(part));
        part.clear();
      } else if (c != ' ') {
        part += c;
      }
    }
    return all;
  }
  static void read_positions(const ConfigReader& config, Index positions, Config& c) {
    constexpr Index most = Index{1} << 30;
    c.relative = config.flag("relative_attention", false), c.shared = config.flag("share_att_key", false);
    const Index reach = config.integer("max_relative_positions", -1, -1, most), buckets = config.integer("position_buckets", -1, -1, most);
    c.buckets = {reach < 1 ? positions : reach, buckets < 1 ? 0 : buckets};
    if (c.relative && c.buckets.buckets > 0 && (c.buckets.buckets < 2 || c.buckets.buckets / 2 >= c.buckets.reach - 1)) {
      config.wrong("position_buckets is {}, expected 2 or more, and less than twice the distance {} where they end (max_relative_positions)",
                   buckets, c.buckets.reach);
    }
    c.content_to_position = c.position_to_content = false;
    for (const std::string& part : parts(config, "pos_att_type")) {
      if (part == "c2p") c.content_to_position = true;
      else if (part == "p2c") c.position_to_content = true;
      else config.refuse("pos_att_type has {}, which is not supported: c2p and p2c are", printable(part));
    }
    c.normed = false;
    for (const std::string& part : parts(config, "norm_rel_ebd")) {
      if (part == "layer_norm") c.normed = true;
      else if (part != "none") config.refuse("norm_rel_ebd has {}, which is not supported: layer_norm and none are", printable(part));
    }
  }
};

}  // namespace espalier::inline v0
