// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/io/dtype_names.hpp>
#include <espalier/model/activation_names.hpp>
#include <espalier/model/bert.hpp>
#include <espalier/model/config_reader.hpp>
#include <espalier/model/fixed_heads.hpp>
#include <espalier/model/label_config.hpp>
#include <espalier/model/stored_dtype.hpp>
#include <espalier/model/stored_model.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

namespace detail {
/// "bert." in front of a name, when everything is known at compile time.
template <class Kind>
struct BertNames {
  static constexpr bool roberta = std::is_same_v<Kind, Roberta>;
  static constexpr std::string_view prefix = roberta ? "roberta." : "bert.",
                                    embedding = roberta ? "roberta.embeddings.word_embeddings.weight"
                                                        : "bert.embeddings.word_embeddings.weight",
                                    decoder = roberta ? "lm_head.decoder.weight" : "cls.predictions.decoder.weight";
};
}  // namespace detail

template <class Kind, class Task>
struct StoredModel<BertTaskConfig<Kind, Task>> : FixedHeads<BertTaskConfig<Kind, Task>> {
  using Config = BertTaskConfig<Kind, Task>;
  using Names = detail::BertNames<Kind>;
  static constexpr bool masked = std::is_same_v<Task, MaskedLanguage>;
  static constexpr std::string_view kTypes[1] = {Kind::kName};
  static constexpr std::string_view kEmbedding = Names::embedding, kHead = Names::decoder, kPrefix = Names::prefix;

  static Config read(const json::Value& object, const std::string& source) {
    const ConfigReader config(object, source);
    constexpr Index most = Index{1} << 22;
    const std::string type = config.text("model_type");
    if (type != Kind::kName) config.refuse("model_type is {}, which is not supported here: {} is", printable(type), Kind::kName);
    Config c;
    c.vocab = config.integer("vocab_size", Names::roberta ? 50265 : 30522, 1, most);
    c.hidden = config.integer("hidden_size", 768, 1, most);
    c.layers = config.integer("num_hidden_layers", 12, 1, 65536);
    c.heads = c.groups = config.integer("num_attention_heads", 12, 1, most);
    c.feed_forward = config.integer("intermediate_size", 3072, 1, 4 * most);
    c.max_positions = config.integer("max_position_embeddings", 512, 1, Index{1} << 30);
    c.segments = config.integer("type_vocab_size", 2, 1, most);
    c.pad = config.integer("pad_token_id", Names::roberta ? 1 : 0, 0, c.vocab - 1);
    if (c.hidden % c.heads != 0) config.wrong("hidden_size is {}, no multiple of num_attention_heads, which is {}", c.hidden, c.heads);
    c.head_dim = c.hidden / c.heads;
    c.eps = config.number("layer_norm_eps", 1e-12, 0);
    c.deviation = config.number("initializer_range", 0.02, 0);
    c.dropout = config.probability("hidden_dropout_prob", 0.1);
    c.attention_dropout = config.probability("attention_probs_dropout_prob", 0.1);
    c.classifier_dropout = config.probability("classifier_dropout", c.dropout);
    c.function = read_activation(config, "hidden_act", "gelu");
    c.labels = read_labels(config);
    if (config.given("position_embedding_type")) {
      config.expect(config.text("position_embedding_type") == "absolute", "position_embedding_type", "absolute is");
    }
    for (const std::string_view key : {"is_decoder", "add_cross_attention"})
      if (config.given(key)) config.expect(!config.flag(key, false), key, "false is");
    for (const std::string_view key : {"quantization_config", "pruned_heads"})
      if (config.given(key)) config.expect(config.find(key)->size() == 0 && !config.find(key)->is_string(), key, "leave it out");
    if (masked) {
      if (config.given("tie_word_embeddings")) config.expect(config.flag("tie_word_embeddings", true), "tie_word_embeddings", "true is");
      c.tied = true;
    }
    return c;
  }

  static json::Value write(const Config& c, json::Value object, Dtype dtype) {
    if (object.is_null()) object = json::Value::object();
    object.set("model_type", Kind::kName);
    object.set("architectures", json::Value(json::Value::Array{
                                    json::Value(std::string(Kind::kClass) + (masked ? "ForMaskedLM" : "ForSequenceClassification"))}));
    object.set("vocab_size", c.vocab), object.set("hidden_size", c.hidden), object.set("num_hidden_layers", c.layers);
    object.set("num_attention_heads", c.hidden / c.head_dim), object.set("intermediate_size", c.feed_forward);
    object.set("max_position_embeddings", c.max_positions), object.set("type_vocab_size", c.segments);
    object.set("pad_token_id", c.pad), object.set("layer_norm_eps", c.eps);
    if (!object.contains("hidden_act")) object.set("hidden_act", name_of(c.function));
    if (!masked) write_labels(c.labels, object);
    object.erase("dtype");
    object.set("torch_dtype", torch_name(dtype));
    return object;
  }

  template <class F>
  static void tensors(const Config& c, F&& f) {
    using Extents = std::vector<Index>;
    const Index d = c.hidden, inner = c.heads * c.head_dim;
    const std::string stem = std::string(Kind::kName) + ".";
    const auto norm = [&](const std::string& at) {
      f(at + ".weight", Extents{d});
      f(at + ".bias", Extents{d});
    };
    const auto map = [&](const std::string& at, Index out, Index in) {
      f(at + ".weight", Extents{out, in});
      f(at + ".bias", Extents{out});
    };
    f(stem + "embeddings.word_embeddings.weight", Extents{c.vocab, d});
    f(stem + "embeddings.position_embeddings.weight", Extents{c.max_positions, d});
    f(stem + "embeddings.token_type_embeddings.weight", Extents{c.segments, d});
    norm(stem + "embeddings.LayerNorm");
    for (Index l = 0; l < c.layers; ++l) {
      const std::string at = stem + "encoder.layer." + std::to_string(l) + ".";
      map(at + "attention.self.query", inner, d);
      map(at + "attention.self.key", inner, d);
      map(at + "attention.self.value", inner, d);
      map(at + "attention.output.dense", d, inner);
      norm(at + "attention.output.LayerNorm");
      map(at + "intermediate.dense", c.feed_forward, d);
      map(at + "output.dense", d, c.feed_forward);
      norm(at + "output.LayerNorm");
    }
    if (masked) {
      map(Kind::masked.transform, d, d);
      norm(Kind::masked.norm);
      f(std::string(Kind::masked.bias), Extents{c.vocab});
    } else {
      map(Kind::first, d, d);
      map(Kind::out, c.labels.count, d);
    }
  }
  /// A classifier may be new; then what leads there is new as well, if no file has it.
  static std::vector<std::string> head() {
    if (masked) return {};
    return {Kind::out, Kind::first};
  }
  static void lacking(Config& c, const std::vector<std::string>& maps) {
    c.trained_pooler = Kind::pooler && std::find(maps.begin(), maps.end(), Kind::first) != maps.end();
  }
  static std::string missing(std::string_view name, const TensorFiles&) {
    return masked && name.starts_with(Kind::masked.transform) ? "the files are those of another task: they have no head for hidden tokens" : "";
  }
  /// As the first published checkpoints spell it.
  static std::string older(const std::string& name) {
    if (name.ends_with("LayerNorm.weight")) return name.substr(0, name.size() - 6) + "gamma";
    if (name.ends_with("LayerNorm.bias")) return name.substr(0, name.size() - 4) + "beta";
    return name;
  }
  /// Position numbers that old files store, and the heads of other tasks.
  static bool leftover(std::string_view name) {
    if (name.ends_with("embeddings.position_ids") || name.ends_with("embeddings.token_type_ids")) return true;
    if (name.starts_with("cls.seq_relationship.")) return true;
    const bool pooler = name.starts_with("pooler.") || (name.starts_with(kPrefix) && name.substr(kPrefix.size()).starts_with("pooler."));
    if (masked) return pooler || name.starts_with("classifier.") || name == std::string(Kind::decoder) + ".bias";
    return name.starts_with("cls.predictions.") || name.starts_with("lm_head.") || (pooler && !Kind::pooler);
  }

};

}  // namespace espalier::inline v0
