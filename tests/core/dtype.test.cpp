// SPDX-License-Identifier: MIT
#include <bit>
#include <cmath>
#include <doctest/doctest.h>
#include <espalier/core/dtype.hpp>
#include <limits>

using namespace espalier;

TEST_CASE("bf16 survives a trip through float for every bit pattern, and NaN stays NaN") {
  for (std::uint32_t b = 0; b < 0x10000u; ++b) {
    BFloat16 x;
    x.bits = static_cast<std::uint16_t>(b);
    const float f = x;
    if (std::isnan(f)) {
      CHECK(std::isnan(float(BFloat16(f))));
    } else if (BFloat16(f).bits != x.bits) {
      FAIL("bf16 pattern " << b);
    }
  }
}

TEST_CASE("bf16 rounds to nearest, ties to even") {
  CHECK(float(BFloat16(1.0f + 0x1p-8f)) == 1.0f);            // halfway: to the even neighbour below
  CHECK(float(BFloat16(1.0f + 3 * 0x1p-8f)) == 1.0f + 0x1p-6f);  // halfway: to the even neighbour above
  CHECK(float(BFloat16(1.0f + 0x1.2p-8f)) == 1.0f + 0x1p-7f);
  CHECK(float(BFloat16(std::numeric_limits<float>::max())) == std::numeric_limits<float>::infinity());
  CHECK(std::signbit(float(BFloat16(-0.0f))));
}

TEST_CASE("half survives a trip through float for every bit pattern") {
  for (std::uint32_t b = 0; b < 0x10000u; ++b) {
    Half x;
    x.bits = static_cast<std::uint16_t>(b);
    const float f = x;
    if (std::isnan(f)) {
      CHECK(std::isnan(float(Half(f))));
    } else if (Half(f).bits != x.bits) {
      FAIL("half pattern " << b);
    }
  }
}

TEST_CASE("half rounds as IEEE 754 says") {
  CHECK(float(Half(65504.0f)) == 65504.0f);
  CHECK(float(Half(65519.9f)) == 65504.0f);
  CHECK(std::isinf(float(Half(65520.0f))));
  CHECK(float(Half(0x1p-24f)) == 0x1p-24f);
  CHECK(float(Half(0x1p-25f)) == 0.0f);             // tie: to even
  CHECK(float(Half(0x1.8p-25f)) == 0x1p-24f);
  CHECK(float(Half(1.0f + 0x1p-11f)) == 1.0f);      // tie: to even
  CHECK(float(Half(1.0f + 3 * 0x1p-11f)) == 1.0f + 0x1p-9f);
#if defined(__FLT16_MAX__)
  for (float f = 1e-8f; f < 1e5f; f *= 1.0009f)
    if (float(Half(f)) != float(static_cast<_Float16>(f))) FAIL("half of " << f);
#endif
}
