// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/model/compact_config.hpp>
#include <espalier/model/families.hpp>
#include <espalier/adapter/initialise.hpp>
#include <set>
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

inline bool is_number(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::bf16 || dtype == Dtype::f16 || dtype == Dtype::f64;
}

/// Some checkpoints of a tied model hold the head as well. That is fine as long as it is the embedding.
inline void check_tied_head(const TensorFiles& files, std::string_view head, std::string_view embedding) {
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
    fail(Errc::bad_input, "{}: config.json says tie_word_embeddings, but {} is not {}\n"
         "  hint: set tie_word_embeddings to false if the head is meant", files.directory(), head, embedding);
  }
}

/// What the files call a tensor: some were saved without the prefix of everything but the head.
template <class Config>
std::string stored_name(const TensorFiles& files, const std::string& name) {
  constexpr std::string_view prefix = StoredModel<Config>::kPrefix;
  if (prefix.empty() || !name.starts_with(prefix) || files.contains(StoredModel<Config>::kEmbedding)) return name;
  const std::string_view bare = StoredModel<Config>::kEmbedding.substr(prefix.size());
  return files.contains(bare) ? name.substr(prefix.size()) : name;
}

/// Every tensor that the configuration asks for is there in its shape, and nothing else is. Takes no memory for weights.
template <class Config>
void check_tensors(const Config& config, const TensorFiles& files) {
  using Stored = StoredModel<Config>;
  std::vector<std::string> expected;
  Stored::tensors(config, [&](const std::string& full, const std::vector<Index>& shape) {
    const std::string name = stored_name<Config>(files, full);
    if (!files.contains(name)) {
      const bool bare = files.contains("embed_tokens.weight");
      fail(Errc::bad_input, "{}: tensor {} is missing\n  hint: {}", files.directory(), name,
           name == Stored::kHead ? "config.json says tie_word_embeddings false; is that right?"
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
    if (std::binary_search(expected.begin(), expected.end(), name) || Stored::leftover(name)) continue;
    if (config.tied && name == Stored::kHead) continue;
    fail(Errc::bad_input, "{}: there is a tensor {}, which config.json does not account for\n  hint: a bias or a norm that "
         "is not read would change the function, so it is not ignored", files.directory(), printable(name));
  }
  if (config.tied) check_tied_head(files, Stored::kHead, stored_name<Config>(files, std::string(Stored::kEmbedding)));
}

template <class T>
std::vector<T> transposed(const std::vector<T>& x, Index rows, Index cols) {
  std::vector<T> y(x.size());
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) y[std::size_t(j * rows + i)] = x[std::size_t(i * cols + j)];
  return y;
}

/// Numbers of a file on their way to a device, through one buffer of the tensor's size. flip: the file holds columns as
/// rows.
template <class Device, class T, int Rank>
void read_tensor(Device& device, const TensorFiles& files, const std::string& name, Tensor<Device, T, Rank>& tensor,
                 bool flip = false) {
  const auto upright = [&](auto numbers) {
    if constexpr (Rank == 2)
      if (flip) return transposed(numbers, tensor.shape(1), tensor.shape(0));
    return numbers;
  };
  const auto n = static_cast<std::size_t>(tensor.size());
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>) {
    std::vector<T> numbers(n);
    files.read_numbers(name, std::span(numbers));
    numbers = upright(std::move(numbers));
    device.upload(tensor.view().data, numbers.data(), tensor.size());
  } else {  // fields of the tests
    std::vector<double> numbers(n);
    files.read_numbers(name, std::span(numbers));
    numbers = upright(std::move(numbers));
    const std::vector<T> wide(numbers.begin(), numbers.end());
    device.upload(tensor.view().data, wide.data(), tensor.size());
  }
}

}  // namespace detail

/// What is known of a model directory before its weights are read: config.json and the headers of the weights, the one
/// held against the other.
template <class Config = LlamaConfig>
struct ModelFiles {
  explicit ModelFiles(const std::string& directory) : source(read_source(directory)), config(configured(source)), tensors(directory) {
    detail::check_tensors(config, tensors);
    StoredModel<Config>::tensors(config, [&](const std::string& name, const std::vector<Index>&) {
      source.dtypes.emplace_back(name, tensors.info(stored(name)).dtype);
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

/// Reads a Hugging Face directory: config.json, and model.safetensors or its shards. Everything is validated before memory
/// is taken for it; weights are stored in the device's own type. Adapters start as their options say.
///
///     auto model = load<Llama<Device, LowRankAdapter>>(device, "tinyllama/", {.rank = 8, .alpha = 16});
template <class Model>
Model load(typename Model::DeviceType& device, const std::string& directory,
           const typename Model::AdapterOptions& adapter = {}, std::uint64_t seed = 0) {
  const ModelFiles<typename Model::Config> files(directory);
  Model model(device, files.config, adapter);
  std::set<std::string> flipped;
  for_each_projection(model, [&](const std::string& path, auto& p) {
    if (p.transposed) flipped.insert(path + ".weight");
  });
  for_each_tensor(model, [&](const std::string& name, auto& tensor) {
    detail::read_tensor(device, files.tensors, files.stored(name), tensor, flipped.count(name) != 0);
  });
  model.source = files.source;
  initialise(model, seed);
  return model;
}

}  // namespace espalier::inline v0
