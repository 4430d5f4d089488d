// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/core/parameter.hpp>
#include <espalier/core/tensor.hpp>

#include "oracle.hpp"

using namespace espalier;
using Device = test::Oracle<double>;

TEST_CASE("parameters are windows into one flat buffer a kind, and a rebuild carries every kind along") {
  Device device;
  Parameter<Device> p(3, 4), q(2, 5);
  ParameterArena<Device> arena;
  const auto each = [&](auto&& f) { f(p), f(q); };
  arena.bind(device, each);
  CHECK(arena.size() % ParameterArena<Device>::kAlign == 0);
  CHECK(p.value.data == arena.value() + p.offset);
  CHECK(q.grad.data == arena.grad() + q.offset);
  CHECK(q.offset >= p.size());
  double* m = arena.moment(device, 0);
  for (Index i = 0; i < p.size(); ++i) p.value.data[i] = double(i), p.grad.data[i] = double(10 + i), m[p.offset + i] = double(100 + i);
  for (Index i = 0; i < q.size(); ++i) q.value.data[i] = double(-i);

  p.rows = 2;  // the middle row leaves
  arena.rebuild(device, each, [&](Parameter<Device>& which, View<double, 2> from, View<double, 2> to) {
    for (Index i = 0; i < to.rows(); ++i)
      for (Index j = 0; j < to.cols(); ++j) to(i, j) = from(&which == &p ? 2 * i : i, j);
  });
  CHECK(p.value(1, 0) == 8);
  CHECK(p.grad(1, 3) == 10 + 11);
  CHECK(arena.moment(device, 0)[p.offset + 4] == 108);
  CHECK(q.value(1, 4) == -9);
  CHECK(arena.moments() == 1);
}

TEST_CASE("a tensor is dense, row-major and zeroed") {
  Device device;
  Tensor<Device, float, 3> t(device, 2, 3, 4);
  CHECK(t.size() == 24);
  CHECK(t.view().dense());
  CHECK(t.view().stride[0] == 12);
  for (Index i = 0; i < t.size(); ++i) CHECK(t.view().data[i] == 0);
  Tensor<Device, float, 3> moved = std::move(t);
  CHECK(moved.size() == 24);
  CHECK(Tensor<Device, float, 2>().empty());
}
