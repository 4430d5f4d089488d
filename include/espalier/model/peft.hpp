// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/io/safetensors.hpp>
#include <espalier/adapter/initialise.hpp>
#include <espalier/model/adapter_config.hpp>
#include <espalier/model/adapter_labels.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft_save.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// The settings of a PEFT directory.
inline AdapterConfig read_adapter_config(const std::string& directory) {
  const std::string path = io::join(directory, "adapter_config.json");
  if (!io::exists(path)) fail(Errc::bad_input, "{}: there is no adapter_config.json\n  hint: an adapter is a directory as PEFT saves it", directory);
  return AdapterConfig::read(json::read_file(io::resolve_inside(directory, "adapter_config.json"), std::uint64_t{16} << 20), path);
}

/// Gives the model the adapters of a PEFT directory, in place of those it had: rank, scale, targets and values are the
/// file's, and of a head that it brings the names of labels. Gradients and moments start at zero, so make the optimizer afterwards.
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
  [[maybe_unused]] std::optional<LabelRules> labels;  // of the head that it brings, if it says
  if constexpr (requires { model.head.options; }) {
    if (!config.saved.empty()) labels = read_adapter_labels(directory);
    if (labels) detail::check_labels(model, *labels, directory);
  }
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
    if (!config.saved.empty() && !config.saves(path) && model.source.starts_fresh(path)) {
      fail(Errc::bad_input, "{}: the adapter brings a head without {}, which the base model lacks as well: it was random when the adapter was "
           "made, and nobody has it\n  hint: name it in modules_to_save when the adapter is trained", directory, path);
    }
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
      fail(Errc::bad_input, "{}: there is a tensor {}, which adapter_config.json does not account for, or which this model does not train",
           file.path(), printable(tensor.name));
    }
  }

  if constexpr (requires { model.head.options; })
    if (labels) detail::take_labels(model, *labels);
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
