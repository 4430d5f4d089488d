// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <espalier/core/dtype.hpp>

namespace espalier::inline v0 {

/// The number formats of safetensors 0.8, ascending by alignment: its writer sorts by this order, descending.
enum class Dtype : std::uint8_t {
  boolean, f4, f6_e2m3, f6_e3m2, u8, i8, f8_e5m2, f8_e4m3, f8_e8m0, f8_e4m3fnuz, f8_e5m2fnuz,
  i16, u16, f16, bf16, i32, u32, f32, c64, f64, i64, u64,
};

struct DtypeName {
  std::string_view name;
  int bits;  ///< of one element
};

inline constexpr std::array<DtypeName, 22> dtype_names = {{
    {"BOOL", 8},   {"F4", 4},       {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},   {"F16", 16},     {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},   {"F64", 64},     {"I64", 64},    {"U64", 64},
}};

constexpr std::string_view name_of(Dtype dtype) { return dtype_names[static_cast<std::size_t>(dtype)].name; }
constexpr int bits_of(Dtype dtype) { return dtype_names[static_cast<std::size_t>(dtype)].bits; }

constexpr std::optional<Dtype> dtype_called(std::string_view name) {
  for (std::size_t i = 0; i < dtype_names.size(); ++i) {
    if (dtype_names[i].name == name) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

/// The format in which a C++ type is stored.
template <class T>
struct DtypeOf;
template <> struct DtypeOf<float> { static constexpr Dtype value = Dtype::f32; };
template <> struct DtypeOf<double> { static constexpr Dtype value = Dtype::f64; };
template <> struct DtypeOf<BFloat16> { static constexpr Dtype value = Dtype::bf16; };
template <> struct DtypeOf<Half> { static constexpr Dtype value = Dtype::f16; };
template <> struct DtypeOf<std::uint8_t> { static constexpr Dtype value = Dtype::u8; };
template <> struct DtypeOf<std::int32_t> { static constexpr Dtype value = Dtype::i32; };
template <> struct DtypeOf<std::int64_t> { static constexpr Dtype value = Dtype::i64; };
template <> struct DtypeOf<std::uint64_t> { static constexpr Dtype value = Dtype::u64; };
template <class T>
inline constexpr Dtype dtype_of = DtypeOf<T>::value;

}  // namespace espalier::inline v0
