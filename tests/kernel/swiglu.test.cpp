// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/kernel/swiglu.hpp>
#include <vector>

#include "gradients.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE_TEMPLATE("the gated activation and its derivative equal the definition, with a mask of their own each",
                   Device, Oracle<double>, Cpu<double>, Cpu<float>) {
  using T = typename Device::Activation;
  const double tolerance = sizeof(T) == 8 ? 1e-14 : 2e-6;
  Device device;
  const Index rows = 19, width = 37;
  const std::size_t n = std::size_t(rows * width);
  std::vector<T> gate(n), up(n), dh(n), h(n, T(9)), dgate(n, T(9)), dup(n, T(9)), mask(37, T(1)), seen(37, T(1));
  fill(gate.data(), Index(n), 1, 6), fill(up.data(), Index(n), 2), fill(dh.data(), Index(n), 3);
  mask[3] = mask[20] = seen[20] = T(0);  // 3 is seen through by backward
  gate[5] = T(-200), gate[6] = T(200);   // saturated both ways
  std::vector<double> eh, edgate, edup;
  for (std::size_t i = 0; i < n; ++i) {
    const double g = double(gate[i]), u = double(up[i]), s = 1 / (1 + std::exp(-g)), m = double(mask[i % 37]);
    const double d = double(dh[i]) * double(seen[i % 37]);
    eh.push_back(g * s * u * m);
    edup.push_back(d * g * s);
    edgate.push_back(d * u * (s + g * s * (1 - s)));
  }
  const auto cg = gate, cu = up, cd = dh, cm = mask, cs = seen;
  const auto in = [&](const std::vector<T>& v) { return matrix(v.data(), rows, width); };
  device.for_each_row(rows,
                      kernel::SwiGlu<T, T>{in(cg), in(cu), vector(cm.data(), width), matrix(h.data(), rows, width)});
  device.for_each_row(rows,
                      kernel::SwiGluBackward<T, T>{in(cg), in(cu), in(cd), vector(cs.data(), width),
                                                   matrix(dgate.data(), rows, width), matrix(dup.data(), rows, width)});
  CHECK(relative_error({h.begin(), h.end()}, eh) < tolerance);
  CHECK(relative_error({dgate.begin(), dgate.end()}, edgate) < tolerance);
  CHECK(relative_error({dup.begin(), dup.end()}, edup) < tolerance);
}
