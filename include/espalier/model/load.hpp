// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/model/compact_config.hpp>
#include <espalier/model/label_config.hpp>
#include <espalier/model/llama_files.hpp>
#include <espalier/model/read_source.hpp>
#include <espalier/model/stored_tensors.hpp>
#include <espalier/adapter/initialise.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// What is known of a model directory before its weights are read: config.json and the headers of the weights, the one
/// held against the other.
template <class Config = LlamaConfig>
struct ModelFiles {
  explicit ModelFiles(const std::string& directory) : ModelFiles(directory, [](Config&) {}) {}
  /// change(config): what shall be otherwise than config.json says, e.g. the labels of a new head.
  template <class Change>
  ModelFiles(const std::string& directory, Change&& change)
      : source(read_source(directory)), config(configured(source)), tensors(directory) {
    change(config);
    source.fresh = detail::fresh_maps(config, tensors);
    if constexpr (requires { StoredModel<Config>::lacking(config, source.fresh); }) StoredModel<Config>::lacking(config, source.fresh);
    detail::check_tensors(config, tensors, source.fresh);
    if constexpr (requires { config.labels.new_head; }) {
      if (config.labels.new_head) number_labels(source.config, config.labels.count);  // other labels than those that had names
      config.labels.new_head = false;
    }
    StoredModel<Config>::tensors(config, [&](const std::string& name, const std::vector<Index>&) {
      if (tensors.contains(stored(name))) source.dtypes.emplace_back(name, tensors.info(stored(name)).dtype);
    });
    std::sort(source.dtypes.begin(), source.dtypes.end());
    for (const SafetensorsFile& file : tensors.files()) source.files.push_back(file.path());
  }

  /// What the files call a tensor.
  std::string stored(const std::string& name) const { return detail::stored_name<Config>(tensors, name); }

  ModelSource source;
  Config config;
  TensorFiles tensors;

 private:
  static Config configured(const ModelSource& source) {
    const std::string path = io::join(source.directory, "config.json");
    read_stored_dtype(source.config, path);
    return read_stored_config<Config>(source.config, path);
  }
};

namespace detail {

/// The weights of what is new in a head are normal, its biases zero.
template <class Model>
void initialise_head(Model& model, const ModelSource& source, std::uint64_t seed, double deviation) {
  using A = typename Model::A;
  std::uint32_t number = std::uint32_t{1} << 23;  // projections count from below
  for_each_trained(model, [&](const std::string& path, auto& map) {
    const RandomStream stream{seed, Purpose::initialisation, number++};
    if (!source.starts_fresh(path)) return;
    std::vector<A> weight(std::size_t(map.weight.size()));
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = A(deviation * normal(stream, i));
    model.device().upload(map.weight.value.data, weight.data(), map.weight.size());
  });
}

template <class Model>
Model load_from(typename Model::DeviceType& device, const ModelFiles<typename Model::Config>& files,
                const typename Model::AdapterOptions& adapter, std::uint64_t seed) {
  Model model(device, files.config, adapter);
  std::set<std::string> flipped;
  for_each_projection(model, [&](const std::string& path, auto& p) {
    if (p.transposed) flipped.insert(path + ".weight");
  });
  for_each_tensor(model, [&](const std::string& name, auto& tensor) {
    read_tensor(device, files.tensors, files.stored(name), tensor, flipped.count(name) != 0);
  });
  if constexpr (requires { files.config.labels; }) {
    initialise_head(model, files.source, seed, files.config.deviation);
    for_each_trained(model, [&](const std::string& path, auto& map) {
      if (files.source.starts_fresh(path)) return;
      read_parameter(device, files.tensors, path + ".weight", map.weight);
      read_parameter(device, files.tensors, path + ".bias", map.bias);
    });
  }
  model.source = files.source;
  initialise(model, seed);
  return model;
}

}  // namespace detail

/// Reads a Hugging Face directory: config.json, and model.safetensors or its shards. Everything is validated before memory
/// is taken for it; weights are stored in the device's own type. Adapters start as their options say.
///
///     auto model = load<Llama<Device, LowRankAdapter>>(device, "tinyllama/", {.rank = 8, .alpha = 16});
template <class Model>
Model load(typename Model::DeviceType& device, const std::string& directory,
           const typename Model::AdapterOptions& adapter = {}, std::uint64_t seed = 0) {
  return detail::load_from<Model>(device, ModelFiles<typename Model::Config>(directory), adapter, seed);
}
/// The same with a head for other labels than config.json says: it has to be a new one, because the files have none, or
/// because it is asked for by .new_head.
template <class Model, class Labels = decltype(std::declval<typename Model::Config&>().labels)>
Model load(typename Model::DeviceType& device, const std::string& directory, const typename Model::AdapterOptions& adapter,
           std::uint64_t seed, const Labels& labels) {
  using Config = typename Model::Config;
  return detail::load_from<Model>(device, ModelFiles<Config>(directory, [&](Config& c) { c.labels = labels; }), adapter, seed);
}

}  // namespace espalier::inline v0
