// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <complex>
#include <cstdint>
#include <espalier/kernel/math.hpp>
#include <limits>

using namespace espalier;

TEST_CASE(
    "exp of a float lies within 1.1 units in the last place of the true value, subnormal results within one step") {
  double worst = 0;
  Index normal = 0, tiny = 0;
  for (std::uint64_t u = 0; u < 0x100000000ull; u += 9973) {  // every exponent, both signs
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(u));
    const double truth = std::exp(double(x)), ours = double(kernel::exp(x));
    if (std::isnan(x)) {
      CHECK(std::isnan(ours));
    } else if (truth > 3.4028235677973366e38) {  // half a unit above the greatest float
      CHECK(std::isinf(ours));
    } else if (truth >= double(std::numeric_limits<float>::min())) {
      int exponent;
      std::frexp(truth, &exponent);
      worst = std::max(worst, std::abs(ours - truth) / std::ldexp(1.0, exponent - 24));
      ++normal;
    } else {
      CHECK(std::abs(ours - truth) <= 1.5e-45);
      ++tiny;
    }
  }
  CHECK(worst <= 1.1);
  CHECK(normal > 100000);
  CHECK(tiny > 1000);
}

TEST_CASE("exp keeps what softmax relies on: one at zero, zero at minus infinity, never negative, never decreasing") {
  CHECK(kernel::exp(0.0f) == 1.0f);
  CHECK(kernel::exp(-0.0f) == 1.0f);
  CHECK(kernel::exp(-std::numeric_limits<float>::infinity()) == 0.0f);
  CHECK(kernel::exp(std::numeric_limits<float>::infinity()) == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(kernel::exp(std::numeric_limits<float>::quiet_NaN())));
  float before = 0;
  for (float x = -110; x < 90; x += 0.01f) {
    const float y = kernel::exp(x);
    CHECK(y >= before);
    before = y;
  }
}

TEST_CASE("other fields use their own exponential") {
  CHECK(kernel::exp(0.3) == std::exp(0.3));
  const std::complex<double> z(0.2, 1e-50);
  CHECK(kernel::exp(z).imag() == doctest::Approx(std::exp(0.2) * 1e-50).epsilon(1e-14));
  CHECK(kernel::sigmoid(0.0f) == 0.5f);
  CHECK(kernel::sigmoid(-200.0f) == 0.0f);
  CHECK(kernel::sigmoid(200.0f) == 1.0f);
  CHECK(kernel::larger(std::complex<double>(1, 9), std::complex<double>(2, -9)).real() == 2);
}
