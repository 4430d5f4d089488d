// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/dtype_names.hpp>

namespace espalier::inline v0 {

/// Why a file is not a safetensors file. The first ten are the errors of the reference implementation; the rest are cases
/// that it calls InvalidHeaderDeserialization, and the few where we are stricter.
enum class SafetensorsError {
  header_too_small,         ///< less than 8 bytes
  header_too_large,         ///< a header of more than 100 000 000 bytes
  invalid_header_length,    ///< the header ends behind the end of the file
  invalid_header,           ///< the header is not UTF-8
  not_json,                 ///< the header is not one JSON object
  invalid_offset,           ///< tensors overlap, leave a hole, or end before they begin
  validation_overflow,      ///< shape or size beyond 64 bits
  misaligned,               ///< elements of less than a byte that do not fill their last byte
  size_mismatch,            ///< offsets say another size than shape and dtype
  incomplete_buffer,        ///< bytes missing, or left over, behind the last tensor
  bad_entry,                ///< an entry that is not an object
  unknown_dtype,
  bad_shape,                ///< not a list of whole numbers >= 0
  bad_offsets,              ///< not two whole numbers >= 0
  missing_field,
  duplicate_field,
  unknown_field,            ///< stricter: a field we do not know could change what the bytes mean
  bad_metadata,             ///< not a table of texts
  duplicate_metadata,       ///< a metadata key twice (stricter), or __metadata__ itself twice
  duplicate_name,           ///< stricter: the specification forbids it, the reference keeps the last one
  bad_name,                 ///< stricter: a control character, or more than 1024 bytes
  too_many_dimensions,      ///< stricter: more than 8
};

class MalformedSafetensors : public Error {
 public:
  MalformedSafetensors(SafetensorsError reason, std::string message)
      : Error(Errc::bad_input, std::move(message)), reason_(reason) {}
  SafetensorsError reason() const noexcept { return reason_; }

 private:
  SafetensorsError reason_;
};

/// Bits of a tensor; nothing if an extent is negative, if the elements do not fit 63 bits or the bits 64. The product is
/// taken from left to right, so that a zero does not excuse what overflowed before it: as the reference does.
inline std::optional<std::uint64_t> stored_bits(Dtype dtype, const std::vector<Index>& shape) {
  Index elements = 1;
  for (const Index extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(elements, extent, &elements)) return std::nullopt;
  }
  std::uint64_t bits = 0;
  const bool overflow = __builtin_mul_overflow(static_cast<std::uint64_t>(elements), static_cast<std::uint64_t>(bits_of(dtype)), &bits);
  return overflow ? std::nullopt : std::optional(bits);
}

struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<Index> shape;
  std::uint64_t offset = 0;  ///< of the first byte, from the end of the header
  std::uint64_t bytes = 0;

  Index elements() const {
    return std::accumulate(shape.begin(), shape.end(), Index{1}, [](Index a, Index b) { return a * b; });
  }
};

using Metadata = std::deque<std::pair<std::string, std::string>>;

struct SafetensorsHeader {
  std::deque<TensorInfo> tensors;      ///< in the order of their bytes
  std::vector<std::uint32_t> by_name;  ///< into tensors
  Metadata metadata;                   ///< in the order of the file
  bool has_metadata = false;           ///< __metadata__ is there, if perhaps empty
  std::uint64_t data_begin = 0;        ///< where the bytes of the tensors begin in the file

  const TensorInfo* find(std::string_view name) const {
    const auto at = std::lower_bound(by_name.begin(), by_name.end(), name,
                                     [&](std::uint32_t i, std::string_view n) { return tensors[i].name < n; });
    return at != by_name.end() && tensors[*at].name == name ? &tensors[*at] : nullptr;
  }
};

}  // namespace espalier::inline v0
