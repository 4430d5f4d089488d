// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/core/parameter.hpp>
#include <espalier/core/tensor.hpp>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/model/stored_model.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

// The tensors in the files of a model, held against its configuration, and their numbers on the way to a device.
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
std::string stored_name(const TensorFiles& files, const std::string& full) {
  using Stored = StoredModel<Config>;
  constexpr std::string_view prefix = Stored::kPrefix;
  const bool bare = !prefix.empty() && full.starts_with(prefix) && !files.contains(Stored::kEmbedding) &&
                    files.contains(Stored::kEmbedding.substr(prefix.size()));
  const std::string name = bare ? full.substr(prefix.size()) : full;
  if constexpr (requires { Stored::older(name); })
    if (!files.contains(name) && files.contains(Stored::older(name))) return Stored::older(name);
  return name;
}

/// Whether a tensor belongs to one of these linear maps.
inline bool is_part_of(const std::vector<std::string>& maps, std::string_view tensor) {
  return std::find(maps.begin(), maps.end(), tensor.substr(0, tensor.rfind('.'))) != maps.end();
}

/// The linear maps of a head that start at random: none where the files have the one onto labels and nobody asks for a new
/// one; else that, and of what leads there the maps that no file has, as transformers' ignore_mismatched_sizes has it.
template <class Config>
std::vector<std::string> fresh_maps(const Config& config, const TensorFiles& files) {
  std::vector<std::string> fresh;
  if constexpr (requires { StoredModel<Config>::head(); }) {
    const auto lacks = [&](const std::string& map) {
      return !files.contains(stored_name<Config>(files, map + ".weight")) && !files.contains(stored_name<Config>(files, map + ".bias"));
    };
    for (const std::string& map : StoredModel<Config>::head()) {
      if (lacks(map) || (fresh.empty() && config.labels.new_head)) fresh.push_back(map);
      if (fresh.empty()) break;
    }
  }
  return fresh;
}

/// What may be meant where a tensor is missing.
template <class Config>
std::string hint_of_missing(const std::string& name, const TensorFiles& files) {
  using Stored = StoredModel<Config>;
  std::string hint;
  if constexpr (requires { Stored::missing(name, files); }) hint = Stored::missing(name, files);
  if (!hint.empty()) return hint;
  if (name == Stored::kHead) return "config.json says tie_word_embeddings false; is that right?";
  if (files.contains("embed_tokens.weight"))
    return "this is a model without its language head (names lack the prefix 'model.'): save it as ...ForCausalLM";
  return "config.json asks for it; do the two files belong together?";
}
/// What may be meant where a tensor has another shape.
template <class Config>
std::string hint_of_shape(const std::string& full) {
  if constexpr (requires { StoredModel<Config>::head(); }) {
    const auto head = StoredModel<Config>::head();
    if (!head.empty() && is_part_of({head.front()}, full))
      return "a head for other labels is a new one: load(device, directory, adapter options, seed, {.count = ..., .new_head = true})";
  }
  return "the sizes in config.json belong to another model, or this one was pruned without adjusting them";
}

/// Every tensor that the configuration asks for is there in its shape, but those of maps that start at random, and nothing
/// else is. Takes no memory for weights.
template <class Config>
void check_tensors(const Config& config, const TensorFiles& files, const std::vector<std::string>& fresh) {
  using Stored = StoredModel<Config>;
  std::vector<std::string> expected;
  Stored::tensors(config, [&](const std::string& full, const std::vector<Index>& shape) {
    const std::string name = stored_name<Config>(files, full);
    expected.push_back(name);
    if (is_part_of(fresh, full)) return;  // an old one is not read
    if (!files.contains(name)) fail(Errc::bad_input, "{}: tensor {} is missing\n  hint: {}", files.directory(), name, hint_of_missing<Config>(name, files));
    const TensorInfo& info = files.info(name);
    if (info.shape != shape) {
      fail(Errc::bad_input, "{}: tensor {} has shape {}, config.json says {}\n  hint: {}", files.directory(), name, shown_shape(info.shape),
           shown_shape(shape), hint_of_shape<Config>(full));
    }
    if (!is_number(info.dtype)) {
      fail(Errc::unsupported, "{}: tensor {} is stored as {}; F32, BF16, F16 and F64 are supported\n"
           "  hint: quantised weights have to be expanded first", files.directory(), name, name_of(info.dtype));
    }
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

/// Numbers of a file on their way to a parameter.
template <class Device, class Files>
void read_parameter(Device& device, const Files& files, const std::string& name, Parameter<Device>& p) {
  using A = typename Device::Accumulate;
  using Read = std::conditional_t<std::is_same_v<A, float>, float, double>;
  std::vector<Read> numbers(static_cast<std::size_t>(p.size()));
  files.read_numbers(name, std::span(numbers));
  const std::vector<A> values(numbers.begin(), numbers.end());
  device.upload(p.value.data, values.data(), p.size());
}

}  // namespace detail

}  // namespace espalier::inline v0
