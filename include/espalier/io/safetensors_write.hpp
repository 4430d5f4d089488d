// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/core/error.hpp>
#include <espalier/io/file_write.hpp>
#include <espalier/io/json_write.hpp>
#include <espalier/io/safetensors_header.hpp>
#include <espalier/io/stored_numbers.hpp>

namespace espalier::inline v0 {

/// A tensor that is to be written: its bytes follow later.
struct TensorSpec {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<Index> shape;
};

/// What a file will look like, byte for byte as the reference implementation lays it out: tensors by descending
/// alignment, then by name; compact JSON; the header padded with spaces to a multiple of 8. The reference writes
/// metadata in the order of a hash table, which differs from run to run: here keys ascend.
struct SafetensorsLayout {
  std::vector<TensorInfo> tensors;  ///< in the order in which their bytes are written
  std::string header;               ///< the length in 8 bytes, the JSON and the padding
  std::uint64_t bytes = 0;          ///< of all tensors
};

inline SafetensorsLayout lay_out_safetensors(const std::vector<TensorSpec>& specs, Metadata metadata = {}) {
  SafetensorsLayout layout;
  for (const TensorSpec& spec : specs) layout.tensors.push_back({spec.name, spec.dtype, spec.shape, 0, 0});
  auto& tensors = layout.tensors;
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
  std::string json = "{";
  const auto comma = [&] {
    if (json.back() != '{') json += ',';
  };
  if (!metadata.empty()) {
    std::sort(metadata.begin(), metadata.end());
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      comma();
      json::append_string(json, key);
      json += ':';
      json::append_string(json, value);
    }
    json += '}';
  }
  for (TensorInfo& tensor : tensors) {
    const auto bits = stored_bits(tensor.dtype, tensor.shape);
    require(bits.has_value(), "tensor {}: its shape is negative or does not fit 64 bits", printable(tensor.name));
    require(*bits % 8 == 0, "tensor {}: {} bits are not a whole number of bytes", printable(tensor.name), *bits);
    tensor.offset = layout.bytes;
    tensor.bytes = *bits / 8;
    layout.bytes += tensor.bytes;
    comma();
    json::append_string(json, tensor.name);
    json += format(":{\"dtype\":\"{}\",\"shape\":[", name_of(tensor.dtype));
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) json += format(i == 0 ? "{}" : ",{}", tensor.shape[i]);
    json += format("],\"data_offsets\":[{},{}]}", tensor.offset, tensor.offset + tensor.bytes);
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  if (json.size() > safetensors_header_limit) {
    fail(Errc::unsupported, "a header of {} bytes; safetensors allows {}: write fewer tensors to a file", json.size(), safetensors_header_limit);
  }
  const std::uint64_t length = json.size();
  layout.header.assign(reinterpret_cast<const char*>(&length), 8);
  layout.header += json;
  // Names twice, names with control characters, too many dimensions: what we would not read we do not write.
  SafetensorsHeaderReader(json, 8 + length + layout.bytes, "safetensors to be written").read();
  return layout;
}

/// Where the bytes of one tensor go, in as many pieces as the caller likes.
template <class Output>
class TensorSink {
 public:
  TensorSink(Output& out, std::uint64_t bytes) : out_(out), left_(bytes) {}
  void write(std::span<const std::byte> bytes) {
    require(bytes.size() <= left_, "{} bytes more than the tensor has", bytes.size() - left_);
    out_.write(bytes);
    left_ -= bytes.size();
  }
  /// Numbers, converted to the format the file stores.
  template <class T>
  void write_numbers(std::span<const T> numbers, Dtype dtype) {
    std::vector<std::byte> piece;
    const auto size = static_cast<std::size_t>(bits_of(dtype) / 8);
    for (std::size_t at = 0; at < numbers.size(); at += 16384) {
      const auto part = numbers.subspan(at, std::min<std::size_t>(16384, numbers.size() - at));
      piece.resize(part.size() * size);
      encode(part, dtype, std::span<std::byte>(piece));
      write(piece);
    }
  }
  std::uint64_t left() const { return left_; }

 private:
  Output& out_;
  std::uint64_t left_;
};

/// Writes header and tensors to anything with write(span of bytes) and write(text). For each tensor, in the order of the
/// file, fill(const TensorInfo&, TensorSink&) gives its bytes: no second copy of a model is ever needed.
template <class Output, class Fill>
void stream_safetensors(Output& out, const std::vector<TensorSpec>& specs, const Metadata& metadata, Fill&& fill) {
  const SafetensorsLayout layout = lay_out_safetensors(specs, metadata);
  out.write(std::string_view(layout.header));
  for (const TensorInfo& tensor : layout.tensors) {
    TensorSink<Output> sink(out, tensor.bytes);
    fill(tensor, sink);
    require(sink.left() == 0, "tensor {}: {} bytes of {} were not given", printable(tensor.name), sink.left(), tensor.bytes);
  }
}

/// The same to a file, which appears under its name when it is complete and on disk.
///
///     write_safetensors("model.safetensors", {{"w", Dtype::f32, {2, 3}}}, {{"format", "pt"}},
///                       [&](const TensorInfo& tensor, auto& sink) { sink.write(bytes_of(tensor.name)); });
template <class Fill>
void write_safetensors(const std::string& path, const std::vector<TensorSpec>& specs, const Metadata& metadata, Fill&& fill) {
  io::write_file_atomically(path, [&](io::OutputFile& out) { stream_safetensors(out, specs, metadata, fill); });
}

}  // namespace espalier::inline v0
