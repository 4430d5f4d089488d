// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/model/config_reader.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// adapter_config.json of PEFT: which linear maps have a low-rank adapter, and of what rank and scale. Settings that would
/// compute something else are refused by name, known or not: a key that is new to us counts unless it is off.
class AdapterConfig {
 public:
  LowRankOptions options;
  std::string base;  ///< base_model_name_or_path
  std::vector<std::string> saved;  ///< modules_to_save: what is trained as a whole and stored beside the adapters

  static AdapterConfig read(const json::Value& object, const std::string& source = "adapter_config.json") {
    const ConfigReader in(object, source);
    AdapterConfig c;
    const std::string kind = in.text("peft_type");
    if (kind != "LORA") in.refuse("peft_type is {}, which is not supported: LORA is", printable(kind));
    c.options.rank = in.integer("r", 8, 1, 65536);
    c.options.alpha = in.number("lora_alpha", 8, 0);
    c.options.dropout = in.given("lora_dropout") ? in.number("lora_dropout", -1e-300) : 0;
    if (c.options.dropout >= 1) in.wrong("lora_dropout is {}, expected a number from 0 to below 1", c.options.dropout);
    c.options.rank_stabilised = in.flag("use_rslora", false);
    if (in.given("base_model_name_or_path")) c.base = in.text("base_model_name_or_path");
    c.read_targets(in);
    c.ranks_ = pattern(in, "rank_pattern"), c.alphas_ = pattern(in, "alpha_pattern");
    for (const auto& [key, rank] : c.ranks_)
      if (rank < 1 || rank > 65536 || rank != std::floor(rank)) in.wrong("rank_pattern: {} is {}, expected a rank", printable(key), rank);
    for (const auto& [key, alpha] : c.alphas_)
      if (!(alpha > 0)) in.wrong("alpha_pattern: {} is {}, expected a number above 0", printable(key), alpha);
    if (in.given("modules_to_save")) c.saved = names(in, "modules_to_save");
    for (const std::string& name : c.saved)
      if (name != "classifier" && name != "score" && name != "pooler") {  // PEFT names the first two for a task, whichever the model has
        in.refuse("modules_to_save has {}, which is not supported: only the head of a task (classifier, pooler) is trained as a whole",
                  printable(name));
      }
    c.refuse_variants(in);
    return c;
  }

  /// Whether a linear map has an adapter.
  bool matches(std::string_view path) const {
    if (named(excluded_, path)) return false;
    if (!layers_.empty() && std::find(layers_.begin(), layers_.end(), layer_of(path)) == layers_.end()) return false;
    return options.matches(path);
  }
  /// Whether a linear map is stored whole: it, or what it is part of, is named.
  bool saves(std::string_view path) const {
    const std::string parts = format(".{}.", path);
    return std::any_of(saved.begin(), saved.end(), [&](const std::string& n) { return parts.find(format(".{}.", n)) != std::string::npos; });
  }
  /// target_modules is a regular expression. None is ever evaluated: the tensors of the adapter say what it matched.
  bool targets_by_file() const { return by_file_; }
  /// Rank and scale of one linear map: the first pattern that names it, else r and lora_alpha.
  LowRankOptions options_of(std::string_view path) const {
    LowRankOptions o = options;
    if (const auto* rank = first(ranks_, path)) o.rank = Index(*rank);
    if (const auto* alpha = first(alphas_, path)) o.alpha = *alpha;
    return o;
  }

 private:
  using Pattern = std::vector<std::pair<std::string, double>>;

  static bool ends_at_dot(std::string_view path, std::string_view name) {
    return path == name || (path.size() > name.size() && path.ends_with(name) && path[path.size() - name.size() - 1] == '.');
  }
  static bool named(const std::vector<std::string>& names, std::string_view path) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& n) { return ends_at_dot(path, n); });
  }
  static const double* first(const Pattern& pattern, std::string_view path) {
    for (const auto& [key, value] : pattern)
      if (ends_at_dot(path, key)) return &value;
    return nullptr;
  }
  /// The first number among the parts of a path; -1: there is none.
  static Index layer_of(std::string_view path) {
    while (!path.empty()) {
      const auto part = path.substr(0, path.find('.'));
      Index number = 0;
      if (std::from_chars(part.data(), part.data() + part.size(), number).ptr == part.data() + part.size() && !part.empty()) return number;
      path.remove_prefix(std::min(path.size(), part.size() + 1));
    }
    return -1;
  }
  /// A name may be followed by PEFT as a regular expression. Dots apart, ours are plain.
  static void plain(const ConfigReader& in, std::string_view key, const std::string& name) {
    if (!name.empty() && name.find_first_of("\\*+?()[]{}|^$") == std::string::npos) return;
    in.refuse("{} has {}, a regular expression; list the names of the linear maps instead, e.g. [\"q_proj\", \"v_proj\"]", key, printable(name));
  }
  static std::vector<std::string> names(const ConfigReader& in, std::string_view key) {
    const json::Value& value = *in.find(key);
    std::vector<std::string> all;
    if (!value.is_array()) in.wrong("{} is {}, expected a list of names", key, in.shown(value));
    for (const json::Value& name : value.elements()) {
      if (!name.is_string()) in.wrong("{} has {}, expected a name", key, in.shown(name));
      plain(in, key, name.as_string());
      all.push_back(name.as_string());
    }
    return all;
  }
  static Pattern pattern(const ConfigReader& in, std::string_view key) {
    Pattern all;
    if (!in.given(key)) return all;
    for (const auto& [name, value] : in.inner(key).object().members()) {
      plain(in, key, name);
      if (!value.is_number()) in.wrong("{}: {} is {}, expected a number", key, printable(name), in.shown(value));
      all.emplace_back(name, value.as_double());
    }
    return all;
  }

  void read_targets(const ConfigReader& in) {
    const json::Value* const targets = in.find("target_modules");
    if (!in.given("target_modules")) in.wrong("target_modules is missing");
    if (targets->is_string()) {
      by_file_ = targets->as_string() != "all-linear";
      if (targets->as_string().empty()) in.wrong("target_modules is empty");
    } else {
      options.targets = names(in, "target_modules");
      if (options.targets.empty()) in.wrong("target_modules is empty");
    }
    if (in.given("exclude_modules")) excluded_ = names(in, "exclude_modules");
    if (!in.given("layers_to_transform")) return;
    const json::Value& layers = *in.find("layers_to_transform");
    const json::Value::Array list = layers.is_array() ? layers.elements() : json::Value::Array{layers};
    for (const json::Value& layer : list) {
      if (!layer.is_integer()) in.wrong("layers_to_transform has {}, expected numbers of layers", in.shown(layer));
      layers_.push_back(layer.as_index());
    }
  }

  /// Off: null, false, or an empty text, list or table.
  static bool off(const json::Value& v) {
    return v.is_null() || v == json::Value(false) || v == json::Value("") || ((v.is_array() || v.is_object()) && v.size() == 0);
  }
  static void refuse_variants(const ConfigReader& in) {
    constexpr std::string_view read[] = {"peft_type", "r", "lora_alpha", "lora_dropout", "use_rslora", "base_model_name_or_path",
                                         "target_modules", "exclude_modules", "modules_to_save", "layers_to_transform", "rank_pattern", "alpha_pattern"};
    constexpr std::string_view harmless[] = {"peft_version", "task_type", "revision", "inference_mode", "auto_mapping",
                                             "megatron_core", "qalora_group_size", "runtime_config", "ensure_weight_tying",
                                             "fan_in_fan_out"};  // how the base model's files lie: PEFT corrects it, too
    for (const auto& [name, value] : in.object().members()) {
      const std::string& key = name;  // clang 14 captures no structured bindings
      const auto among = [&](const auto& keys) { return std::find(std::begin(keys), std::end(keys), key) != std::end(keys); };
      if (among(read) || among(harmless) || off(value)) continue;
      if (key == "bias" && value == json::Value("none")) continue;
      if (key == "layers_pattern" && (value == json::Value("layers") || value == json::Value(json::Value::Array{"layers"}))) continue;
      if (key == "init_lora_weights") {  // how an adapter starts; but some ways change the base model as well
        if (value.is_bool() || value == json::Value("gaussian") || value == json::Value("orthogonal") || value == json::Value("eva")) continue;
        in.refuse("init_lora_weights is {}, which changes the base model too: convert it to a plain LoRA adapter with PEFT first", in.shown(value));
      }
      in.refuse("{} is {}, which is not supported: it changes what the adapter computes", printable(key), in.shown(value));
    }
  }

  std::vector<std::string> excluded_;
  std::vector<Index> layers_;
  bool by_file_ = false;
  Pattern ranks_, alphas_;
};

}  // namespace espalier::inline v0
