// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/model/llama_config.hpp>
#include <espalier/model/llama_tensors.hpp>
#include <espalier/adapter/initialise.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace espalier::inline v0 {

namespace detail {

inline std::string shown_shape(const std::vector<Index>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += format(i == 0 ? "{}" : ", {}", shape[i]);
  return text + "]";
}

/// Tensors that old files carry and nobody reads.
inline bool is_leftover(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

inline bool is_number(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::bf16 || dtype == Dtype::f16 || dtype == Dtype::f64;
}

/// Some checkpoints of a tied model hold the head as well. That is fine as long as it is the embedding.
inline void check_tied_head(const TensorFiles& files) {
  const std::string_view head = "lm_head.weight", embedding = "model.embed_tokens.weight";
  if (!files.contains(head)) return;
  const TensorInfo &a = files.info(head), &b = files.info(embedding);
  bool same = a.dtype == b.dtype && a.shape == b.shape;
  std::vector<std::byte> x(std::size_t{1} << 16), y(x.size());
  for (std::uint64_t at = 0; same && at < a.bytes; at += x.size()) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(x.size(), a.bytes - at));
    files.file(head).read_part(a, at, std::span(x).first(n));
    files.file(embedding).read_part(b, at, std::span(y).first(n));
    same = std::equal(x.begin(), x.begin() + std::ptrdiff_t(n), y.begin());
  }
  if (!same) {
    fail(Errc::bad_input, "{}: config.json says tie_word_embeddings, but lm_head.weight is not model.embed_tokens.weight\n"
         "  hint: set tie_word_embeddings to false if the head is meant", files.directory());
  }
}

/// Every tensor that the configuration asks for is there in its shape, and nothing else is. Takes no memory for weights.
inline void check_llama_tensors(const LlamaConfig& config, const TensorFiles& files) {
  std::vector<std::string> expected;
  for_each_llama_tensor(config, [&](const std::string& name, const std::vector<Index>& shape) {
    if (!files.contains(name)) {
      const bool bare = files.contains("embed_tokens.weight");
      fail(Errc::bad_input, "{}: tensor {} is missing\n  hint: {}", files.directory(), name,
           name == "lm_head.weight" ? "config.json says tie_word_embeddings false; is that right?"
           : bare ? "this is a model without its language head (names lack the prefix 'model.'): save it as ...ForCausalLM"
                  : "config.json asks for it; do the two files belong together?");
    }
    const TensorInfo& info = files.info(name);
    if (info.shape != shape) {
      fail(Errc::bad_input, "{}: tensor {} has shape {}, config.json says {}\n  hint: {}", files.directory(), name,
           shown_shape(info.shape), shown_shape(shape),
           "the sizes in config.json belong to another model, or this one was pruned without adjusting them");
    }
    if (!is_number(info.dtype)) {
      fail(Errc::unsupported, "{}: tensor {} is stored as {}; F32, BF16, F16 and F64 are supported\n"
           "  hint: quantised weights have to be expanded first", files.directory(), name, name_of(info.dtype));
    }
    expected.push_back(name);
  });
  std::sort(expected.begin(), expected.end());
  for (const std::string& name : files.names()) {
    if (std::binary_search(expected.begin(), expected.end(), name) || is_leftover(name)) continue;
    if (config.tied && name == "lm_head.weight") continue;
    fail(Errc::bad_input, "{}: there is a tensor {}, which config.json does not account for\n  hint: a bias or a norm that "
         "is not read would change the function, so it is not ignored", files.directory(), printable(name));
  }
  if (config.tied) check_tied_head(files);
}

/// Numbers of a file on their way to a device, through one buffer of the tensor's size.
template <class Device, class T, int Rank>
void read_tensor(Device& device, const TensorFiles& files, const std::string& name, Tensor<Device, T, Rank>& tensor) {
  const auto n = static_cast<std::size_t>(tensor.size());
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>) {
    std::vector<T> numbers(n);
    files.read_numbers(name, std::span(numbers));
    device.upload(tensor.view().data, numbers.data(), tensor.size());
  } else {  // fields of the tests
    std::vector<double> numbers(n);
    files.read_numbers(name, std::span(numbers));
    const std::vector<T> wide(numbers.begin(), numbers.end());
    device.upload(tensor.view().data, wide.data(), tensor.size());
  }
}

}  // namespace detail

/// What is known of a model directory before its weights are read: config.json and the headers of the weights, the one
/// held against the other.
struct ModelFiles {
  explicit ModelFiles(const std::string& directory) : source(described(directory)), config(configured(source)), tensors(directory) {
    detail::check_llama_tensors(config, tensors);
    for (const std::string& name : tensors.names()) source.dtypes.emplace_back(name, tensors.info(name).dtype);
    for (const SafetensorsFile& file : tensors.files()) source.files.push_back(file.path());
  }

  ModelSource source;
  LlamaConfig config;
  TensorFiles tensors;

 private:
  static ModelSource described(const std::string& directory) {
    if (!io::is_directory(directory)) fail(Errc::bad_input, "{}: there is no such directory", directory);
    if (!io::exists(io::join(directory, "config.json"))) {
      fail(Errc::bad_input, "{}: there is no config.json\n  hint: {}", directory,
           io::exists(io::join(directory, "adapter_config.json"))
               ? "this is an adapter: load its base model and then the adapter"
               : "a model directory holds config.json and model.safetensors, as save_pretrained writes them");
    }
    ModelSource source;
    source.directory = directory;
    source.config = json::read_file(io::resolve_inside(directory, "config.json"), std::uint64_t{16} << 20);
    return source;
  }
  static LlamaConfig configured(const ModelSource& source) {
    const std::string path = io::join(source.directory, "config.json");
    read_stored_dtype(source.config, path);
    return read_llama_config(source.config, path);
  }
};

/// Reads a Hugging Face directory: config.json, and model.safetensors or its shards. Everything is validated before memory
/// is taken for it; weights are stored in the device's own type. Adapters start as their options say.
///
///     auto model = load<Llama<Device, LowRankAdapter>>(device, "tinyllama/", {.rank = 8, .alpha = 16});
template <class Model>
Model load(typename Model::DeviceType& device, const std::string& directory,
           const typename Model::AdapterOptions& adapter = {}, std::uint64_t seed = 0) {
  const ModelFiles files(directory);
  Model model(device, files.config, adapter);
  for_each_tensor(model, [&](const std::string& name, auto& tensor) {
    detail::read_tensor(device, files.tensors, name, tensor);
  });
  model.source = files.source;
  initialise(model, seed);
  return model;
}

}  // namespace espalier::inline v0
