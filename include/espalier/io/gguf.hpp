// SPDX-License-Identifier: MIT
#pragma once
#include <concepts>
#include <cstdint>
#include <espalier/core/error.hpp>
#include <espalier/io/safetensors_write.hpp>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// The container that llama.cpp reads, version 3, little-endian:
///
///   "GGUF"  u32 version  u64 tensors  u64 entries
///   entry:   key, u32 type, value                       a text is u64 length and bytes, a list u32 type, u64 length, values
///   tensor:  name, u32 rank, u64 extents (innermost first), u32 type, u64 offset
///   zeros up to a multiple of the alignment, then the tensors, each filled up in the same way
inline constexpr std::uint64_t gguf_alignment = 32;

namespace detail {

enum class GgufType : std::uint32_t { u32 = 4, i32 = 5, f32 = 6, boolean = 7, text = 8, list = 9 };

template <class T>
void append_number(std::string& out, T x) {
  out.append(reinterpret_cast<const char*>(&x), sizeof x);
}
inline void append_text(std::string& out, std::string_view text) {
  append_number(out, std::uint64_t(text.size()));
  out += text;
}
template <class T>
concept Text = std::convertible_to<const T&, std::string_view>;

template <class T>
constexpr GgufType gguf_type() {
  if constexpr (std::same_as<T, std::uint32_t>) return GgufType::u32;
  if constexpr (std::same_as<T, std::int32_t>) return GgufType::i32;
  if constexpr (std::same_as<T, float>) return GgufType::f32;
  if constexpr (std::same_as<T, bool>) return GgufType::boolean;
  return GgufType::text;
}

/// The number that stands for a format; what llama.cpp computes with, and no other.
inline std::uint32_t gguf_number(Dtype dtype, std::string_view tensor) {
  if (dtype == Dtype::f32) return 0;
  if (dtype == Dtype::f16) return 1;
  if (dtype == Dtype::bf16) return 30;
  fail(Errc::unsupported, "tensor {}: GGUF is written with F32, F16 and BF16, not {}", printable(tensor), name_of(dtype));
}

constexpr std::uint64_t aligned(std::uint64_t n) { return (n + gguf_alignment - 1) / gguf_alignment * gguf_alignment; }

}  // namespace detail

/// Keys and values in the order in which they are set.
///
///     GgufMetadata about;
///     about.set("general.architecture", "llama");
///     about.set("llama.block_count", std::uint32_t(22));
class GgufMetadata {
 public:
  template <class T>
    requires(std::same_as<T, std::uint32_t> || std::same_as<T, std::int32_t> || std::same_as<T, float> || std::same_as<T, bool> ||
             detail::Text<T>)
  void set(const std::string& key, const T& value) {
    begin(key, detail::gguf_type<T>());
    append(value);
  }
  template <class T>
    requires(std::same_as<T, std::int32_t> || std::same_as<T, float> || detail::Text<T>)
  void set(const std::string& key, const std::vector<T>& values) {
    begin(key, detail::GgufType::list);
    detail::append_number(bytes_, std::uint32_t(detail::gguf_type<T>()));
    detail::append_number(bytes_, std::uint64_t(values.size()));
    for (const T& value : values) append(value);
  }
  /// A size or a number of things.
  void count(const std::string& key, Index n) {
    require(n >= 0 && n <= Index(std::numeric_limits<std::uint32_t>::max()), "{} is {}, which does not fit 32 bits", key, n);
    set(key, std::uint32_t(n));
  }

  bool contains(const std::string& key) const { return keys_.count(key) != 0; }
  std::uint64_t size() const { return keys_.size(); }
  const std::string& bytes() const { return bytes_; }

 private:
  void begin(const std::string& key, detail::GgufType type) {
    require(!key.empty() && key.size() < 65536, "a GGUF key of {} bytes; expected 1 to 65535", key.size());
    require(keys_.insert(key).second, "the GGUF key {} is set twice", printable(key));
    detail::append_text(bytes_, key);
    detail::append_number(bytes_, std::uint32_t(type));
  }
  template <class T>
  void append(const T& value) {
    if constexpr (detail::Text<T>) {
      detail::append_text(bytes_, value);
    } else {
      detail::append_number(bytes_, value);
    }
  }

  std::set<std::string> keys_;
  std::string bytes_;
};

/// What a file will look like, with the tensors in the order of `specs`.
struct GgufLayout {
  std::vector<TensorInfo> tensors;
  std::string header;       ///< up to the first tensor, filled up
  std::uint64_t bytes = 0;  ///< of all tensors, without what fills them up
};

inline GgufLayout lay_out_gguf(const GgufMetadata& metadata, const std::vector<TensorSpec>& specs) {
  GgufLayout layout;
  layout.header = "GGUF";
  detail::append_number(layout.header, std::uint32_t{3});
  detail::append_number(layout.header, std::uint64_t(specs.size()));
  detail::append_number(layout.header, metadata.size());
  layout.header += metadata.bytes();
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    require(!spec.name.empty() && spec.name.size() < 64, "tensor {}: a GGUF name has 1 to 63 bytes", printable(spec.name));
    require(names.insert(spec.name).second, "tensor {} is there twice", printable(spec.name));
    require(!spec.shape.empty() && spec.shape.size() <= 4, "tensor {}: {} dimensions; GGUF knows 1 to 4", printable(spec.name), spec.shape.size());
    for (const Index extent : spec.shape) require(extent > 0, "tensor {} would be empty", printable(spec.name));
    const auto bits = stored_bits(spec.dtype, spec.shape);
    require(bits && *bits / 8 < std::uint64_t{1} << 62 && offset < std::uint64_t{1} << 62, "tensor {} does not fit 62 bits", printable(spec.name));
    detail::append_text(layout.header, spec.name);
    detail::append_number(layout.header, std::uint32_t(spec.shape.size()));
    for (std::size_t i = spec.shape.size(); i-- > 0;) detail::append_number(layout.header, std::uint64_t(spec.shape[i]));
    detail::append_number(layout.header, detail::gguf_number(spec.dtype, spec.name));
    detail::append_number(layout.header, offset);
    layout.tensors.push_back({spec.name, spec.dtype, spec.shape, offset, *bits / 8});
    layout.bytes += *bits / 8;
    offset += detail::aligned(*bits / 8);
  }
  layout.header.resize(detail::aligned(layout.header.size()), '\0');
  return layout;
}

/// Writes to anything with write(span of bytes) and write(text). For each tensor, in the order of `specs`,
/// fill(const TensorInfo&, TensorSink&) gives its bytes.
template <class Output, class Fill>
void stream_gguf(Output& out, const GgufMetadata& metadata, const std::vector<TensorSpec>& specs, Fill&& fill) {
  const GgufLayout layout = lay_out_gguf(metadata, specs);
  out.write(std::string_view(layout.header));
  for (const TensorInfo& tensor : layout.tensors) {
    TensorSink<Output> sink(out, tensor.bytes);
    fill(tensor, sink);
    require(sink.left() == 0, "tensor {}: {} bytes of {} were not given", printable(tensor.name), sink.left(), tensor.bytes);
    out.write(std::string_view(std::string(detail::aligned(tensor.bytes) - tensor.bytes, '\0')));
  }
}

/// The same to a file, which appears under its name when it is complete and on disk.
template <class Fill>
void write_gguf(const std::string& path, const GgufMetadata& metadata, const std::vector<TensorSpec>& specs, Fill&& fill) {
  io::write_file_atomically(path, [&](io::OutputFile& out) { stream_gguf(out, metadata, specs, fill); });
}

}  // namespace espalier::inline v0
