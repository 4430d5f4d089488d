// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/io/safetensors_write.hpp>
#include <espalier/io/staged_directory.hpp>
#include <espalier/adapter/initialise.hpp>
#include <espalier/model/adapter_config.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/save.hpp>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
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

/// Writes the adapters as PEFT does: adapter_config.json and adapter_model.safetensors, whole or not at all. After
/// compaction they fit the pruned model only: `base` has to name that.
template <class Model>
void save_adapter(Model& model, const std::string& directory, const SaveAdapterOptions& options = {}) {
  using A = typename Model::DeviceType::Accumulate;
  detail::require_peft_kind<Model>(directory);
  std::map<std::string, bool> active;
  std::map<std::string, const A*> values;
  std::vector<TensorSpec> specs;
  json::Value ranks = json::Value::object(), alphas = json::Value::object();
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
    if (std::abs(alpha - common.alpha) > 1e-12 * common.alpha) alphas.set(path, alpha);
    for_each_parameter(p, [&](const std::string& name, auto& parameter) {
      const std::string full = std::string(detail::kPeftPrefix) + path + "." + name;
      specs.push_back({full, options.dtype.value_or(dtype_of<A>), {parameter.rows, parameter.cols}});
      values[full] = parameter.value.data;
    });
  });
  json::Value::Array saved;
  for_each_trained(model, [&](const std::string& path, auto& map) {
    const json::Value module(path.substr(0, path.find('.')));
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
  const auto whole = [](double x) { return x == std::floor(x) && std::abs(x) < 1e15 ? json::Value(Index(x)) : json::Value(x); };
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
  json::write_file(out / "adapter_config.json", config);
  out.commit();
}

/// The settings of a PEFT directory.
inline AdapterConfig read_adapter_config(const std::string& directory) {
  const std::string path = io::join(directory, "adapter_config.json");
  if (!io::exists(path)) fail(Errc::bad_input, "{}: there is no adapter_config.json\n  hint: an adapter is a directory as PEFT saves it", directory);
  return AdapterConfig::read(json::read_file(io::resolve_inside(directory, "adapter_config.json"), std::uint64_t{16} << 20), path);
}

/// Gives the model the adapters of a PEFT directory, in place of those it had: rank, scale, targets and values are the
/// file's. Gradients and moments start at zero, so make the optimizer afterwards.
template <class Model>
void load_adapter(Model& model, const std::string& directory) {
  using A = typename Model::DeviceType::Accumulate;
  auto& device = model.device();
  detail::require_peft_kind<Model>(directory);
  AdapterConfig config = read_adapter_config(directory);
  if (!io::exists(io::join(directory, "adapter_model.safetensors"))) {
    fail(Errc::bad_input, "{}: there is no adapter_model.safetensors{}", directory,
         io::exists(io::join(directory, "adapter_model.bin")) ? "; adapter_model.bin is a pickle, which is never read: save it with PEFT as safetensors" : "");
  }
  const SafetensorsFile file(io::resolve_inside(directory, "adapter_model.safetensors"));

  if (config.targets_by_file()) {
    constexpr std::string_view before = detail::kPeftPrefix, after = ".lora_A.weight";
    for (const TensorInfo& tensor : file.tensors())
      if (tensor.name.size() > before.size() + after.size() && tensor.name.starts_with(before) && tensor.name.ends_with(after))
        config.options.targets.push_back(tensor.name.substr(before.size(), tensor.name.size() - before.size() - after.size()));
    if (config.options.targets.empty()) fail(Errc::bad_input, "{}: there is no adapter of a linear map", file.path());
  }

  // A directory may go by the names of the checkpoint, or by those of the modules that read it.
  const auto called = [&](const std::string& path) {
    return config.matches(path) ? path : detail::peft_path<Model>(path);
  };
  const auto stored = [&](const std::string& path) {
    const std::string plain = std::string(detail::kPeftPrefix) + path;
    return file.find(plain) != nullptr ? plain : std::string(detail::kPeftPrefix) + detail::peft_path<Model>(path);
  };

  // Everything is checked before the model is touched.
  std::vector<std::string> expected;
  const auto check = [&](const std::string& name, const std::vector<Index>& shape) {
    const TensorInfo* info = file.find(name);
    if (info == nullptr) fail(Errc::bad_input, "{}: tensor {} is missing, which adapter_config.json asks for", file.path(), name);
    if (info->shape != shape) {
      fail(Errc::bad_input, "{}: tensor {} has shape {}, expected {}\n  hint: was the adapter made for another base model? "
           "It names {}", file.path(), name, detail::shown_shape(info->shape), detail::shown_shape(shape), printable(config.base));
    }
    if (!detail::is_number(info->dtype)) fail(Errc::unsupported, "{}: tensor {} is stored as {}; F32, BF16, F16 and F64 are supported", file.path(), name, name_of(info->dtype));
    expected.push_back(name);
  };
  for_each_projection(model, [&](const std::string& path, auto& p) {
    require(!p.adapter.present() || p.adapter.active(), "{}: the adapter of {} is merged into its weight; unmerge the model first", directory, path);
    if (!config.matches(called(path))) return;
    const Index rank = config.options_of(called(path)).rank;
    check(stored(path + ".lora_A.weight"), {rank, p.in()});
    check(stored(path + ".lora_B.weight"), {p.out(), rank});
  });
  Index heads = 0;
  std::vector<std::vector<A>> kept;  // of heads that the directory does not bring: as they are
  for_each_trained(model, [&](const std::string& path, auto& map) {
    ++heads;
    if (config.saves(path)) {
      check(std::string(detail::kPeftPrefix) + path + ".weight", {map.weight.rows, map.weight.cols});
      check(std::string(detail::kPeftPrefix) + path + ".bias", {map.bias.cols});
    }
    for (const auto* p : {&map.weight, &map.bias}) {
      kept.emplace_back(std::size_t(p->size()));
      device.download(p->value.data, kept.back().data(), p->size());
    }
  });
  if (!config.saved.empty() && heads == 0) {
    fail(Errc::unsupported, "{}: modules_to_save has {}, but this model has no head that is trained as a whole", directory,
         printable(config.saved.front()));
  }
  if (expected.empty()) fail(Errc::bad_input, "{}: target_modules names no linear map of this model", directory);
  std::sort(expected.begin(), expected.end());
  for (const TensorInfo& tensor : file.tensors()) {
    if (!std::binary_search(expected.begin(), expected.end(), tensor.name)) {
      fail(Errc::bad_input, "{}: there is a tensor {}, which adapter_config.json does not account for", file.path(), printable(tensor.name));
    }
  }

  model.adapter = config.options;
  for_each_projection(model, [&](const std::string& path, auto& p) {
    using Adapter = std::remove_cvref_t<decltype(p.adapter)>;
    Adapter fresh;
    if (config.matches(called(path))) {
      LowRankOptions options = config.options_of(called(path));
      options.targets.clear();
      fresh = Adapter(device, p.in(), p.out(), path, options);
      if (p.adapter.present()) fresh.full_in = p.adapter.full_in, fresh.origin = std::move(p.adapter.origin);
    }
    p.adapter = std::move(fresh);
  });
  model.run.arena.bind(device, [&](auto&& f) { for_each_parameter(model, [&](const auto&, auto& p) { f(p); }); });
  initialise(model, model.run.step.seed);
  std::size_t next = 0;
  for_each_trained(model, [&](const std::string&, auto& map) {
    for (auto* p : {&map.weight, &map.bias}) device.upload(p->value.data, kept[next].data(), p->size()), ++next;
  });
  for_each_parameter(model, [&](const std::string& path, auto& p) {
    const std::string name = stored(path);
    if (file.find(name) != nullptr) detail::read_parameter(device, file, name, p);
  });
}

}  // namespace espalier::inline v0
