// SPDX-License-Identifier: MIT
#pragma once
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <espalier/core/config.hpp>

namespace espalier::inline v0 {

/// Brain float: the upper half of a float. A storage type: arithmetic happens in float.
struct BFloat16 {
  std::uint16_t bits = 0;

  BFloat16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN.
  ESPALIER_FN explicit BFloat16(float x) {
    std::uint32_t u = std::bit_cast<std::uint32_t>(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) {
      bits = static_cast<std::uint16_t>((u >> 16) | 0x40u);
    } else {
      u += 0x7fffu + ((u >> 16) & 1u);
      bits = static_cast<std::uint16_t>(u >> 16);
    }
  }
  ESPALIER_FN explicit BFloat16(double x) : BFloat16(static_cast<float>(x)) {}
  ESPALIER_FN operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
  friend bool operator==(BFloat16, BFloat16) = default;
};

/// IEEE half precision, read and written only: nothing computes in it.
struct Half {
  std::uint16_t bits = 0;

  Half() = default;
  /// Rounds to nearest, ties to even; overflows to infinity.
  explicit Half(float x) {
    const std::uint32_t u = std::bit_cast<std::uint32_t>(x), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    std::uint32_t h;
    if (a > 0x7f800000u) {
      h = 0x7e00u;
    } else if (a >= 0x477ff000u) {  // 65520 and above round to infinity
      h = 0x7c00u;
    } else if (a < 0x38800000u) {   // below 2^-14: subnormal; adding 0.5 aligns and rounds
      h = std::bit_cast<std::uint32_t>(std::bit_cast<float>(a) + 0.5f) - 0x3f000000u;
    } else {
      h = (a + 0xc8000fffu + ((a >> 13) & 1u)) >> 13;
    }
    bits = static_cast<std::uint16_t>(sign | h);
  }
  operator float() const {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16, a = bits & 0x7fffu;
    if (a >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | ((a & 0x3ffu) << 13));
    if (a < 0x400u) {
      const float magnitude = static_cast<float>(a) * 0x1p-24f;
      return sign != 0 ? -magnitude : magnitude;
    }
    return std::bit_cast<float>(sign | ((a << 13) + 0x38000000u));
  }
  friend bool operator==(Half, Half) = default;
};

/// Widens a stored number to the type that is computed in.
template <class To, class From>
ESPALIER_FN To widen(From x) {
  return static_cast<To>(x);
}
template <class To>
ESPALIER_FN To widen(BFloat16 x) {
  return To(static_cast<float>(x));
}

/// What is computed in where such numbers are stored.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, BFloat16>, float, T>;

}  // namespace espalier::inline v0
