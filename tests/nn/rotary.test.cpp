// SPDX-License-Identifier: MIT
#include <cmath>
#include <doctest/doctest.h>
#include <espalier/nn/rotary.hpp>
#include <utility>
#include <vector>

#include "oracle.hpp"

using namespace espalier;

TEST_CASE("frequencies are powers of the base, stretched as linear and llama3 say") {
  CHECK(RotaryOptions{}.frequencies(4)[1] == doctest::Approx(0.01).epsilon(1e-15));
  CHECK(RotaryOptions{.scaling = RotaryOptions::Scaling::linear, .factor = 4}.frequencies(4)[1] ==
        doctest::Approx(0.0025).epsilon(1e-15));
  // Values of the Llama 3.1 formula at base 5e5, width 128, factors 8, 1, 4, original length 8192.
  const auto f = RotaryOptions{.theta = 5e5, .scaling = RotaryOptions::Scaling::llama3, .factor = 8,
                               .low_frequency_factor = 1, .high_frequency_factor = 4, .original_length = 8192}
                     .frequencies(128);
  CHECK(f[28] == doctest::Approx(3.21144599e-3).epsilon(1e-8));
  CHECK(f[29] == doctest::Approx(2.16657076e-3).epsilon(1e-8));
  CHECK(f[32] == doctest::Approx(5.24846161e-4).epsilon(1e-8));
  CHECK(f[34] == doctest::Approx(1.78507813e-4).epsilon(1e-8));
  CHECK(f[35] == doctest::Approx(9.55621235e-5).epsilon(1e-8));
  CHECK(f[63] == doctest::Approx(3.06892599e-7).epsilon(1e-8));
}

TEST_CASE("rotation keeps lengths, depends on the distance only, and turning back undoes it") {
  using Device = test::Oracle<double>;
  Device device;
  const Rotary<Device> rotary(device, 8, {});
  Workspace<Device> workspace(device);
  Pass<Device> pass(workspace, {1, 6});
  const auto angles = rotary.angles(pass);
  auto x = pass.matrix(6, 8), y = pass.matrix(6, 8);
  for (Index t = 0; t < 6; ++t)
    for (Index j = 0; j < 8; ++j) x(t, j) = y(t, j) = double((j * 7 + 3) % 5) - 2;  // the same vector at every position
  device.for_each_row(6, kernel::Rotate<double, double>{angles.cosine, angles.sine, 1, 1, x});
  const auto dot = [&](Index s, Index t) {
    double sum = 0;
    for (Index j = 0; j < 8; ++j) sum += x(s, j) * x(t, j);
    return sum;
  };
  CHECK(dot(3, 3) == doctest::Approx(dot(0, 0)).epsilon(1e-14));
  CHECK(dot(0, 2) == doctest::Approx(dot(3, 5)).epsilon(1e-13));
  CHECK(std::abs(dot(0, 2) - dot(0, 3)) > 1e-3);
  device.for_each_row(6, kernel::Rotate<double, double>{angles.cosine, angles.sine, 1, -1, x});
  for (Index i = 0; i < 48; ++i) CHECK(x.data[i] == doctest::Approx(y.data[i]).epsilon(1e-14));
}

TEST_CASE("in each of several documents rotation begins anew, with the bits of a document by itself") {
  using Device = test::Oracle<double>;
  Device device;
  const Rotary<Device> rotary(device, 8, {});
  Workspace<Device> workspace(device);
  Pass<Device> pass(workspace, {1, 6});
  const std::vector<int> position{0, 1, 2, 0, 1, 0};
  const auto angles = rotary.angles(pass, position.data());
  auto x = pass.matrix(6, 8), alone = pass.matrix(6, 8);
  for (Index i = 0; i < 48; ++i) x.data[i] = alone.data[i] = double((i * 7 + 3) % 5) - 2;
  device.for_each_row(6, kernel::Rotate<double, double>{angles.cosine, angles.sine, 1, 1, x, angles.position});
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 3}, {3, 2}, {5, 1}})
    device.for_each_row(count, kernel::Rotate<double, double>{angles.cosine, angles.sine, 1, 1, alone.rows(first, count)});
  for (Index i = 0; i < 48; ++i) CHECK(x.data[i] == alone.data[i]);
  CHECK(x(4, 0) != double((4 * 8 * 7 + 3) % 5) - 2);
}

TEST_CASE("an odd head width is refused") {
  test::Oracle<double> device;
  CHECK_THROWS_AS(Rotary<test::Oracle<double>>(device, 7, {}), Error);
}
