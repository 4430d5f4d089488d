// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <espalier/core/error.hpp>
#include <espalier/io/file_read.hpp>
#include <espalier/io/json_write.hpp>
#include <espalier/io/safetensors_header.hpp>
#include <espalier/io/stored_numbers.hpp>

namespace espalier::inline v0 {

namespace detail {

/// read(offset, bytes) gives any part of what is to be a safetensors file of `size` bytes.
template <class Read>
SafetensorsHeader read_safetensors_header(std::uint64_t size, std::string_view source, Read&& read) {
  if (size < 8) {
    throw MalformedSafetensors(SafetensorsError::header_too_small, format("{}: a file of {} bytes has no header", source, size));
  }
  std::uint64_t length = 0;
  read(std::uint64_t{0}, std::as_writable_bytes(std::span(&length, 1)));
  std::string text(safetensors_header_size(length, size, source), '\0');
  read(std::uint64_t{8}, std::as_writable_bytes(std::span(text.data(), text.size())));
  return SafetensorsHeaderReader(text, size, source).read();
}

}  // namespace detail

/// The header of a whole file that lies in memory.
inline SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes, std::string_view source = "safetensors") {
  return detail::read_safetensors_header(bytes.size(), source, [&](std::uint64_t offset, std::span<std::byte> out) {
    if (!out.empty()) std::memcpy(out.data(), bytes.data() + offset, out.size());
  });
}

/// A safetensors file, validated when it is opened; tensors are read one at a time, by position, into memory of the caller.
///
///     const SafetensorsFile file("model.safetensors");
///     for (const TensorInfo& tensor : file.tensors()) …
///     file.read("model.norm.weight", std::as_writable_bytes(numbers));
class SafetensorsFile {
 public:
  explicit SafetensorsFile(std::string path) : file_(std::move(path)) {
    header_ = detail::read_safetensors_header(
        file_.size(), file_.path(), [&](std::uint64_t offset, std::span<std::byte> out) { file_.read_at(offset, out); });
  }

  const std::string& path() const { return file_.path(); }
  const std::deque<TensorInfo>& tensors() const { return header_.tensors; }
  const Metadata& metadata() const { return header_.metadata; }
  const TensorInfo* find(std::string_view name) const { return header_.find(name); }
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  const TensorInfo& info(std::string_view name) const {
    const TensorInfo* found = find(name);
    if (found == nullptr) fail(Errc::bad_input, "{}: there is no tensor {}", path(), printable(name));
    return *found;
  }

  /// Bytes [begin, begin + out.size()) of a tensor, as stored.
  void read_part(const TensorInfo& tensor, std::uint64_t begin, std::span<std::byte> out) const {
    require(begin <= tensor.bytes && out.size() <= tensor.bytes - begin, "{}: bytes {} + {} of {}, which has {}", path(),
            begin, out.size(), printable(tensor.name), tensor.bytes);
    file_.read_at(header_.data_begin + tensor.offset + begin, out);
  }
  /// All bytes of a tensor, as stored.
  void read(const TensorInfo& tensor, std::span<std::byte> out) const {
    require(out.size() == tensor.bytes, "{}: {} has {} bytes, room for {}", path(), printable(tensor.name), tensor.bytes,
            out.size());
    read_part(tensor, 0, out);
  }
  void read(std::string_view name, std::span<std::byte> out) const { read(info(name), out); }

  /// All numbers of a tensor of floats, converted to T: float, double, BFloat16 or Half.
  template <class T>
  void read_numbers(const TensorInfo& tensor, std::span<T> out) const {
    require(static_cast<Index>(out.size()) == tensor.elements(), "{}: {} has {} numbers, room for {}", path(),
            printable(tensor.name), tensor.elements(), out.size());
    decode_pieces(tensor.dtype, out, [&](std::uint64_t begin, std::span<std::byte> piece) { read_part(tensor, begin, piece); });
  }
  template <class T>
  void read_numbers(std::string_view name, std::span<T> out) const {
    read_numbers(info(name), out);
  }

 private:
  io::File file_;
  SafetensorsHeader header_;
};

}  // namespace espalier::inline v0
