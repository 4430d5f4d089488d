// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <numeric>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/json_cursor.hpp>
#include <espalier/io/json_write.hpp>
#include <espalier/io/safetensors_info.hpp>

namespace espalier::inline v0 {

inline constexpr std::uint64_t safetensors_header_limit = 100'000'000;

/// Reads the first 8 bytes, `length`, and says how long the header is.
inline std::uint64_t safetensors_header_size(std::uint64_t length, std::uint64_t file_size, std::string_view source) {
  if (length > safetensors_header_limit) {
    throw MalformedSafetensors(SafetensorsError::header_too_large,
                               format("{}: a header of {} bytes; at most {} are allowed", source, length, safetensors_header_limit));
  }
  if (length + 8 > file_size) {
    throw MalformedSafetensors(SafetensorsError::invalid_header_length,
                               format("{}: a header of {} bytes in a file of {}", source, length, file_size));
  }
  return length;
}

/// Reads a header. What it returns is consistent in itself and with the size of the file: every byte behind the header
/// belongs to exactly one tensor. Takes no more memory than a small multiple of the header.
class SafetensorsHeaderReader {
 public:
  SafetensorsHeaderReader(std::string_view text, std::uint64_t file_size, std::string_view source)
      : text_(text), source_(source), file_size_(file_size), in_(text, source) {}

  SafetensorsHeader read() {
    if (!json::is_utf8(text_)) refuse(SafetensorsError::invalid_header, "the header is not UTF-8");
    try {
      read_entries();
    } catch (const json::SyntaxError& e) {
      throw MalformedSafetensors(SafetensorsError::not_json, e.what());
    }
    header_.data_begin = 8 + text_.size();
    index_names();
    check_layout();
    return std::move(header_);
  }

 private:
  template <class... Args>
  [[noreturn]] void refuse(SafetensorsError reason, std::string_view pattern, const Args&... args) const {
    throw MalformedSafetensors(reason, format("{}: {}", source_, format(pattern, args...)));
  }

  void read_entries() {
    std::string name;
    in_.enter_object();
    while (in_.next_member(name)) {
      if (name == "__metadata__") {
        read_metadata();
        continue;
      }
      if (name.size() > 1024) refuse(SafetensorsError::bad_name, "a tensor name of {} bytes, 1024 are allowed", name.size());
      for (const char c : name) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          refuse(SafetensorsError::bad_name, "a control character in the tensor name {}", printable(name));
        }
      }
      read_tensor(header_.tensors.emplace_back(TensorInfo{name, {}, {}, 0, 0}));
    }
    in_.finish();
  }

  void read_metadata() {
    if (metadata_seen_) refuse(SafetensorsError::duplicate_metadata, "__metadata__ stands there twice");
    metadata_seen_ = true;
    if (in_.kind() == json::Kind::null) return in_.read_null();
    if (in_.kind() != json::Kind::object) refuse(SafetensorsError::bad_metadata, "__metadata__ is not an object");
    header_.has_metadata = true;
    Metadata& found = header_.metadata;
    std::string key;
    in_.enter_object();
    while (in_.next_member(key)) {
      if (in_.kind() != json::Kind::string) refuse(SafetensorsError::bad_metadata, "metadata {} is not a text", printable(key));
      in_.read_string(found.emplace_back(key, std::string()).second);
    }
    std::vector<std::uint32_t> order(found.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](auto i, auto j) { return found[i].first < found[j].first; });
    for (std::size_t i = 1; i < order.size(); ++i) {
      const std::string& twice = found[order[i]].first;
      if (found[order[i - 1]].first == twice) {
        refuse(SafetensorsError::duplicate_metadata, "metadata {} stands there twice", printable(twice));
      }
    }
  }

  void read_tensor(TensorInfo& tensor) {
    const std::string shown = printable(tensor.name);
    if (in_.kind() != json::Kind::object) refuse(SafetensorsError::bad_entry, "the entry of {} is not an object", shown);
    constexpr std::string_view names[] = {"dtype", "shape", "data_offsets"};
    bool seen[3] = {};
    std::string field;
    in_.enter_object();
    while (in_.next_member(field)) {
      const auto which = static_cast<std::size_t>(std::find(names, names + 3, field) - names);
      if (which == 3) refuse(SafetensorsError::unknown_field, "tensor {} has an unknown field {}", shown, printable(field));
      if (std::exchange(seen[which], true)) {
        refuse(SafetensorsError::duplicate_field, "tensor {} has the field {} twice", shown, field);
      }
      if (which == 0) read_dtype(tensor, shown);
      if (which == 1) read_shape(tensor, shown);
      if (which == 2) read_offsets(tensor, shown);
    }
    for (std::size_t i = 0; i < 3; ++i) {
      if (!seen[i]) refuse(SafetensorsError::missing_field, "tensor {} has no {}", shown, names[i]);
    }
  }

  void read_dtype(TensorInfo& tensor, const std::string& shown) {
    std::string name;
    if (in_.kind() != json::Kind::string) refuse(SafetensorsError::unknown_dtype, "the dtype of {} is not a text", shown);
    in_.read_string(name);
    const auto dtype = dtype_called(name);
    if (!dtype) refuse(SafetensorsError::unknown_dtype, "tensor {} has the unknown dtype {}", shown, printable(name));
    tensor.dtype = *dtype;
  }

  /// A whole number from 0 to 2^64 - 1, written as one.
  std::uint64_t read_size(SafetensorsError reason, std::string_view what, const std::string& shown) {
    if (in_.kind() == json::Kind::number) {
      const json::Number x = in_.read_number();
      if (const auto* u = std::get_if<std::uint64_t>(&x)) return *u;
      if (const auto* i = std::get_if<std::int64_t>(&x); i != nullptr && *i >= 0) return static_cast<std::uint64_t>(*i);
    }
    refuse(reason, "the {} of {} holds something else than whole numbers from 0 to 2^64 - 1", what, shown);
  }

  void read_shape(TensorInfo& tensor, const std::string& shown) {
    if (in_.kind() != json::Kind::array) refuse(SafetensorsError::bad_shape, "the shape of {} is not a list", shown);
    in_.enter_array();
    while (in_.next_element()) {
      const std::uint64_t extent = read_size(SafetensorsError::bad_shape, "shape", shown);
      if (tensor.shape.size() == 8) refuse(SafetensorsError::too_many_dimensions, "tensor {} has more than 8 dimensions", shown);
      if (extent > static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) {
        refuse(SafetensorsError::validation_overflow, "tensor {} has an extent of {}", shown, extent);
      }
      tensor.shape.push_back(static_cast<Index>(extent));
    }
  }

  void read_offsets(TensorInfo& tensor, const std::string& shown) {
    if (in_.kind() != json::Kind::array) refuse(SafetensorsError::bad_offsets, "the data_offsets of {} are not a list", shown);
    std::uint64_t offsets[2] = {};
    std::size_t count = 0;
    in_.enter_array();
    while (in_.next_element()) {
      if (count == 2) refuse(SafetensorsError::bad_offsets, "tensor {} has more than two data_offsets", shown);
      offsets[count++] = read_size(SafetensorsError::bad_offsets, "data_offsets", shown);
    }
    if (count != 2) refuse(SafetensorsError::bad_offsets, "tensor {} has {} data_offsets, expected 2", shown, count);
    if (offsets[1] < offsets[0]) refuse(SafetensorsError::invalid_offset, "tensor {} ends before it begins", shown);
    tensor.offset = offsets[0];
    tensor.bytes = offsets[1] - offsets[0];
  }

  void index_names() {
    auto& tensors = header_.tensors;
    const auto position = [](const TensorInfo& t) { return std::tie(t.offset, t.bytes, t.name); };
    std::sort(tensors.begin(), tensors.end(), [&](const auto& a, const auto& b) { return position(a) < position(b); });
    header_.by_name.resize(tensors.size());
    std::iota(header_.by_name.begin(), header_.by_name.end(), 0u);
    std::sort(header_.by_name.begin(), header_.by_name.end(),
              [&](auto i, auto j) { return tensors[i].name < tensors[j].name; });
    for (std::size_t i = 1; i < tensors.size(); ++i) {
      const std::string& name = tensors[header_.by_name[i]].name;
      if (tensors[header_.by_name[i - 1]].name == name) {
        refuse(SafetensorsError::duplicate_name, "two tensors are called {}", printable(name));
      }
    }
  }

  void check_layout() {
    std::uint64_t end = 0;
    for (const TensorInfo& tensor : header_.tensors) {
      const std::string shown = printable(tensor.name);
      if (tensor.offset != end) {
        refuse(SafetensorsError::invalid_offset, "tensor {} begins at {}, the one before it ends at {}", shown, tensor.offset, end);
      }
      end += tensor.bytes;  // both ends were read as 64-bit numbers: this cannot overflow
      const auto bits = stored_bits(tensor.dtype, tensor.shape);
      if (!bits) refuse(SafetensorsError::validation_overflow, "the size of tensor {} does not fit 64 bits", shown);
      if (*bits % 8 != 0) {
        refuse(SafetensorsError::misaligned, "tensor {} fills {} bits, not a whole number of bytes", shown, *bits);
      }
      if (*bits / 8 != tensor.bytes) {
        refuse(SafetensorsError::size_mismatch, "tensor {} needs {} bytes and has {}", shown, *bits / 8, tensor.bytes);
      }
    }
    const std::uint64_t given = file_size_ - header_.data_begin;
    if (end != given) {
      refuse(SafetensorsError::incomplete_buffer, "the tensors fill {} bytes and the file has {} for them", end, given);
    }
  }

  std::string_view text_, source_;
  std::uint64_t file_size_;
  json::Cursor in_;
  SafetensorsHeader header_;
  bool metadata_seen_ = false;
};

}  // namespace espalier::inline v0
