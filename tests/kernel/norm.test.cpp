// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/kernel/norm.hpp>
#include <vector>

#include "gradients.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE_TEMPLATE("the norm of a row and its derivative equal the definition; backward adds", Device, Oracle<double>,
                   Cpu<double>, Cpu<float>) {
  using T = typename Device::Activation;
  const double tolerance = sizeof(T) == 8 ? 1e-14 : 5e-6, eps = 1e-3;
  Device device;
  for (const Index width : {1, 7, 16, 33, 200}) {
    const Index rows = 20;
    const std::size_t n = std::size_t(rows * width);
    std::vector<T> x(n), dy(n), y(n), dx(n), gain(static_cast<std::size_t>(width)), inverse(std::size_t{20});
    fill(x.data(), Index(n), 1), fill(dy.data(), Index(n), 2), fill(dx.data(), Index(n), 3),
        fill(gain.data(), width, 4);
    std::vector<double> ey(n), edx(dx.begin(), dx.end());
    for (Index i = 0; i < rows; ++i) {
      double squares = 0, dot = 0;
      const auto at = [&](Index j) { return std::size_t(i * width + j); };
      const auto g = [&](Index j) { return double(gain[std::size_t(j)]); };
      for (Index j = 0; j < width; ++j) squares += double(x[at(j)]) * double(x[at(j)]);
      const double rms = std::sqrt(squares / double(width) + eps);
      for (Index j = 0; j < width; ++j)
        ey[at(j)] = g(j) * double(x[at(j)]) / rms, dot += g(j) * double(dy[at(j)]) * double(x[at(j)]);
      for (Index j = 0; j < width; ++j)  // derivative of g_k x_k / rms with respect to x_j, summed over k
        edx[at(j)] += g(j) * double(dy[at(j)]) / rms - double(x[at(j)]) * dot / (double(width) * rms * rms * rms);
    }
    const auto cx = x, cdy = dy, cgain = gain;
    const auto in = [&](const std::vector<T>& v) { return matrix(v.data(), rows, width); };
    device.for_each_row(rows, kernel::RmsNorm<T, T>{in(cx), vector(cgain.data(), width), eps,
                                                    matrix(y.data(), rows, width), vector(inverse.data(), rows)});
    const auto cinverse = inverse;
    device.for_each_row(
        rows, kernel::RmsNormBackward<T, T>{in(cx), vector(cgain.data(), width), vector(cinverse.data(), rows), in(cdy),
                                            matrix(dx.data(), rows, width)});
    CHECK(relative_error({y.begin(), y.end()}, ey) < tolerance);
    CHECK(relative_error({dx.begin(), dx.end()}, edx) < tolerance);
  }
}
