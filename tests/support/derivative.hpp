// SPDX-License-Identifier: MIT
#pragma once
#include <doctest/doctest.h>

#include "cpu_or_oracle.hpp"
#include "gradients.hpp"

namespace espalier::test {

/// A module's backward is the derivative of its forward: to rounding in fp64, on the oracle and on the CPU, and as closely as
/// fp32 can say it.
template <class Make>
void expect_derivative(const Make& make, Shape shape, Index in, bool training = false) {
  const auto exact = complex_step_gradients(make, shape, in, training);
  double total = 0;
  for (std::size_t i = 0; i < exact.tensors.size(); ++i) total += exact.norm(i);
  CHECK(total > 0);
  CHECK(worst_error(backward_gradients<Real>(make, shape, in, training), exact) <= 1e-12);
  CHECK(worst_error(backward_gradients<Cpu<double>>(make, shape, in, training), exact) <= 1e-12);
  CHECK(worst_error(backward_gradients<Cpu<float>>(make, shape, in, training), exact) <= 5e-5);
}

}  // namespace espalier::test
