// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/adapter/low_rank_options.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/io/safetensors_write.hpp>
#include <espalier/io/staged_directory.hpp>
#include <espalier/model/adapter_labels.hpp>
#include <espalier/model/plan_file.hpp>
#include <espalier/model/save.hpp>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

struct SaveAdapterOptions {
  std::string base = "";            ///< base_model_name_or_path: where the model lies that the adapter fits; by default where it came from
  std::optional<Dtype> dtype = {};  ///< by default as it is trained
  bool overwrite = false;
};

namespace detail {

inline constexpr std::string_view kPeftPrefix = "base_model.model.";

/// PEFT's low-rank adapters stand beside the weight.
template <class Model>
void require_peft_kind(const std::string& directory) {
  if constexpr (requires(typename Model::Projection& p) { p.adapter.a; }) {
    if (decltype(Model::Projection::adapter)::kInput == Axis::rows) {
      fail(Errc::unsupported, "{}: PEFT has no sequential adapters: merge them and save the model, or use checkpoints", directory);
    }
  }
}

/// What PEFT calls a map, or a part of it.
template <class Model>
std::string peft_path(const std::string& path) {
  using Stored = StoredModel<typename Model::Config>;
  if constexpr (requires { Stored::adapter_path(path); }) return Stored::adapter_path(path);
  return path;
}

/// The module, below the stem, that a map which is trained as a whole is part of: what modules_to_save names.
template <class Model>
std::string saved_module(std::string_view path) {
  constexpr std::string_view stem = StoredModel<typename Model::Config>::kPrefix;
  if (!stem.empty() && path.starts_with(stem)) path.remove_prefix(stem.size());
  return std::string(path.substr(0, path.find('.')));
}

/// The shortest names that mean exactly the active projections: "q_proj" when every q_proj is one, else whole paths.
inline std::vector<std::string> target_names(const std::map<std::string, bool>& active) {
  const auto last = [](const std::string& path) { return path.substr(path.rfind('.') + 1); };
  std::set<std::string> partly, names;
  for (const auto& [path, is_active] : active)
    if (!is_active) partly.insert(last(path));
  for (const auto& [path, is_active] : active)
    if (is_active) names.insert(partly.count(last(path)) != 0 ? path : last(path));
  return {names.begin(), names.end()};
}

}  // namespace detail

/// Writes the adapters as PEFT does: adapter_config.json and adapter_model.safetensors, and espalier_labels.json beside a head
/// for labels, whole or not at all. After compaction they fit the pruned model only: `base` has to name that.
template <class Model>
void save_adapter(Model& model, const std::string& directory, const SaveAdapterOptions& options = {}) {
  using A = typename Model::DeviceType::Accumulate;
  detail::require_peft_kind<Model>(directory);
  std::map<std::string, bool> active;
  std::map<std::string, const A*> values;
  std::vector<TensorSpec> specs;
  json::Value ranks = json::Value::object(), alphas = json::Value::object();
  const auto whole = [](double x) { return x == std::floor(x) && std::abs(x) < 1e15 ? json::Value(Index(x)) : json::Value(x); };
  const LowRankOptions& common = model.adapter;
  bool flipped = false;
  for_each_projection(model, [&](const std::string& stored, auto& p) {
    const std::string path = detail::peft_path<Model>(stored);
    active[path] = p.adapter.present();
    flipped = flipped || p.transposed;
    if (!p.adapter.present()) return;
    LowRankOptions own = common;
    own.rank = p.adapter.rank();
    const double alpha = p.adapter.scale * (own.rank_stabilised ? std::sqrt(double(own.rank)) : double(own.rank));
    if (own.rank != common.rank) ranks.set(path, own.rank);
    if (std::abs(alpha - common.alpha) > 1e-12 * common.alpha) alphas.set(path, whole(alpha));
    for_each_parameter(p, [&](const std::string& name, auto& parameter) {
      const std::string full = std::string(detail::kPeftPrefix) + path + "." + name;
      specs.push_back({full, options.dtype.value_or(dtype_of<A>), {parameter.rows, parameter.cols}});
      values[full] = parameter.value.data;
    });
  });
  json::Value::Array saved;
  for_each_trained(model, [&](const std::string& path, auto& map) {
    const json::Value module(detail::saved_module<Model>(path));
    if (std::find(saved.begin(), saved.end(), module) == saved.end()) saved.push_back(module);
    const auto add = [&](const std::string& name, const auto& p, std::vector<Index> shape) {
      const std::string full = std::string(detail::kPeftPrefix) + path + "." + name;
      specs.push_back({full, options.dtype.value_or(dtype_of<A>), std::move(shape)});
      values[full] = p.value.data;
    };
    add("weight", map.weight, {map.weight.rows, map.weight.cols});
    add("bias", map.bias, {map.bias.cols});
  });
  if (specs.empty()) fail(Errc::usage, "{}: this model has no adapter to save", directory);
  std::string task = "CAUSAL_LM";
  if constexpr (requires { Model::kTask; }) task = Model::kTask;
  const Plan plan = plan_of(model);
  if (options.base.empty() && is_pruned(plan)) {
    fail(Errc::usage, "{}: the adapter of a pruned model fits that model only: save the model first and name its directory as base", directory);
  }
  json::Value config = json::Value::object({
      {"alpha_pattern", alphas}, {"auto_mapping", nullptr},
      {"base_model_name_or_path", options.base.empty() ? model.source.directory : options.base},
      {"bias", "none"}, {"exclude_modules", nullptr}, {"fan_in_fan_out", flipped}, {"inference_mode", true},
      {"init_lora_weights", true}, {"layers_pattern", nullptr}, {"layers_to_transform", nullptr},
      {"lora_alpha", whole(common.alpha)}, {"lora_dropout", common.dropout}, {"modules_to_save", saved.empty() ? json::Value() : json::Value(saved)},
      {"peft_type", "LORA"}, {"r", common.rank}, {"rank_pattern", ranks}, {"revision", nullptr},
      {"target_modules", detail::target_names(active)}, {"task_type", task.empty() ? json::Value() : json::Value(task)}, {"use_dora", false},
      {"use_rslora", common.rank_stabilised}});

  detail::check_output(directory, options.overwrite, model.source);
  io::StagedDirectory out(directory, options.overwrite);
  write_safetensors(out / "adapter_model.safetensors", specs, {{"format", "pt"}}, [&](const TensorInfo& info, auto& sink) {
    std::vector<A> numbers(static_cast<std::size_t>(info.elements()));
    model.device().download(values.at(info.name), numbers.data(), info.elements());
    sink.write_numbers(std::span<const A>(numbers), info.dtype);
  });
  if constexpr (requires { model.head.options; }) json::write_file(out / label_file_name, detail::label_file(model));
  json::write_file(out / "adapter_config.json", config);
  out.commit();
}

}  // namespace espalier::inline v0
