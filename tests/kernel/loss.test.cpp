// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/kernel/loss.hpp>
#include <vector>

#include "gradients.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE_TEMPLATE("cross-entropy and its derivative equal the definition; ignored targets cost and teach nothing",
                   Device, Oracle<double>, Cpu<double>, Cpu<float>) {
  using T = typename Device::Activation;
  const double tolerance = sizeof(T) == 8 ? 1e-13 : 5e-6, weight = 0.25;
  Device device;
  for (const Index vocab : {1, 5, 16, 17, 300}) {
    const Index rows = 18;
    std::vector<T> x(static_cast<std::size_t>(rows * vocab)), loss(std::size_t{18}, T(9));
    fill(x.data(), Index(x.size()), 1, 8);
    std::vector<int> targets;
    for (Index i = 0; i < rows; ++i) targets.push_back(i % 5 == 4 ? kIgnore : int((i * 7) % vocab));
    for (Index j = 0; j < vocab; ++j) x[std::size_t(j)] += T(1000);  // a shift changes nothing, and overflows nothing
    std::vector<double> eloss, edx;
    for (Index i = 0; i < rows; ++i) {
      const auto at = [&](Index j) { return double(x[std::size_t(i * vocab + j)]) - (i == 0 ? 1000 : 0); };
      double total = 0;
      for (Index j = 0; j < vocab; ++j) total += std::exp(at(j));
      const int target = targets[std::size_t(i)];
      const bool counts = target != kIgnore;
      eloss.push_back(counts ? weight * (std::log(total) - at(target)) : 0);
      for (Index j = 0; j < vocab; ++j) edx.push_back(counts ? weight * (std::exp(at(j)) / total - (j == target)) : 0);
    }
    device.for_each_row(rows, kernel::CrossEntropy<T, T>{matrix(x.data(), rows, vocab), targets.data(), &weight,
                                                         vector(loss.data(), rows)});
    CAPTURE(vocab);
    double worst = 0;
    for (std::size_t i = 0; i < eloss.size(); ++i)
      worst = std::max(worst, std::abs(double(loss[i]) - eloss[i]) / (i == 0 ? 100 : 1));  // 1000 eats digits of row 0
    CHECK(worst < 10 * tolerance);
    for (std::size_t i = std::size_t(vocab); i < edx.size(); ++i) REQUIRE(std::abs(double(x[i]) - edx[i]) < tolerance);
  }
}

TEST_CASE("losses are added to the total in one order") {
  Cpu<float> device;
  std::vector<float> losses(100, 0.1f);
  float total = 1;
  device.for_each_row(1, kernel::SumInto<float>{vector<const float>(losses.data(), 100), &total});
  CHECK(total == doctest::Approx(11).epsilon(1e-6));
}
