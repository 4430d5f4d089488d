// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include <espalier/core/dtype.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/dtype_names.hpp>

namespace espalier::inline v0 {

static_assert(std::endian::native == std::endian::little, "tensor files are little-endian and are not swapped here");

/// Calls f with a value of the C++ type that `dtype` stores; formats that are only passed through are refused.
template <class F>
void with_float_type(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::f32: return f(float{});
    case Dtype::f16: return f(Half{});
    case Dtype::bf16: return f(BFloat16{});
    case Dtype::f64: return f(double{});
    default:
      fail(Errc::unsupported, "numbers stored as {} cannot be computed with; convert to F32, BF16, F16 or F64", name_of(dtype));
  }
}

/// One number to another type: rounded to nearest where the new type is narrower.
template <class To, class From>
To convert_number(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (std::is_floating_point_v<From>) {
    return To(static_cast<std::conditional_t<std::is_floating_point_v<To>, To, float>>(x));
  } else {
    return To(static_cast<float>(x));
  }
}

/// Stored bytes to numbers. To: float, double, BFloat16 or Half.
template <class To>
void decode(Dtype dtype, std::span<const std::byte> bytes, std::span<To> out) {
  with_float_type(dtype, [&]<class From>(From) {
    require(bytes.size() == out.size() * sizeof(From), "{} bytes of {} are not {} numbers", bytes.size(), name_of(dtype),
            out.size());
    if constexpr (std::is_same_v<To, From>) {
      if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    } else {
      for (std::size_t i = 0; i < out.size(); ++i) {
        From x;
        std::memcpy(&x, bytes.data() + i * sizeof x, sizeof x);
        out[i] = convert_number<To>(x);
      }
    }
  });
}

/// The same, where read(offset, bytes) fetches the stored bytes: converted in pieces of 64 KiB, so that no second copy is held.
template <class To, class Read>
void decode_pieces(Dtype dtype, std::span<To> out, Read&& read) {
  with_float_type(dtype, [&]<class From>(From) {
    if constexpr (std::is_same_v<To, From>) return read(std::uint64_t{0}, std::as_writable_bytes(out));
    constexpr std::size_t piece = 65536 / sizeof(From);
    std::vector<std::byte> bytes(std::min(piece, out.size()) * sizeof(From));
    for (std::size_t at = 0; at < out.size(); at += piece) {
      const std::size_t n = std::min(piece, out.size() - at);
      const std::span part(bytes.data(), n * sizeof(From));
      read(static_cast<std::uint64_t>(at * sizeof(From)), part);
      decode(dtype, std::span<const std::byte>(part), out.subspan(at, n));
    }
  });
}

/// Numbers to stored bytes.
template <class From>
void encode(std::span<const From> numbers, Dtype dtype, std::span<std::byte> out) {
  with_float_type(dtype, [&]<class To>(To) {
    require(out.size() == numbers.size() * sizeof(To), "{} bytes of {} do not hold {} numbers", out.size(), name_of(dtype),
            numbers.size());
    if constexpr (std::is_same_v<To, From>) {
      if (!out.empty()) std::memcpy(out.data(), numbers.data(), out.size());
    } else {
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        const To x = convert_number<To>(numbers[i]);
        std::memcpy(out.data() + i * sizeof x, &x, sizeof x);
      }
    }
  });
}

}  // namespace espalier::inline v0
