// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <complex>
#include <espalier/kernel/elementwise.hpp>
#include <vector>

#include "oracle.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE_TEMPLATE("numbers are added to those that are there, each to its own", T, float, double, BFloat16,
                   std::complex<double>) {
  const std::vector<T> x{T(1.0f), T(2.0f), T(-3.0f)};
  std::vector<T> y{T(0.5f), T(0.25f), T(3.0f)};
  Oracle<double>().for_each(3, kernel::Accumulate<T>{x.data(), y.data()});
  CHECK((y == std::vector<T>{T(1.5f), T(2.25f), T(0.0f)}));
}

TEST_CASE("what is stored in bf16 is added in float and rounded once") {
  const std::vector<BFloat16> x{BFloat16(1.5f), BFloat16(1.0f)};
  std::vector<BFloat16> y(2, BFloat16(256.0f));
  Oracle<double>().for_each(2, kernel::Accumulate<BFloat16>{x.data(), y.data()});
  CHECK(float(y[0]) == 258);  // 257.5; neighbours of 256 are two apart
  CHECK(float(y[1]) == 256);  // 257, a tie: to even
}

TEST_CASE("a copy widens or rounds, and zero bits are a fill like any other") {
  const std::vector<float> x{1.0f, 1.00390625f, -2.5f};
  std::vector<BFloat16> narrow(3);
  std::vector<double> wide(3);
  Oracle<double> device;
  device.for_each(3, kernel::Copy<BFloat16, float>{x.data(), narrow.data()});
  device.for_each(3, kernel::Copy<double, BFloat16>{narrow.data(), wide.data()});
  CHECK(wide == std::vector<double>{1, 1, -2.5});
  device.for_each(2, kernel::Fill<double>{wide.data(), 0});
  CHECK(wide == std::vector<double>{0, 0, -2.5});
}

TEST_CASE("a bias is added to every row, in the type that sums are taken in") {
  const std::vector<float> bias{1, 0.5f};
  std::vector<BFloat16> y(4, BFloat16(256.0f));
  Oracle<double>().for_each_row(2, kernel::AddBias<BFloat16, float>{vector(bias.data(), 2), matrix(y.data(), 2, 2)});
  y[0] = BFloat16(float(y[0]) + 2);
  CHECK(std::vector<float>(y.begin(), y.end()) == std::vector<float>{258, 256, 256, 256});
}
