// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/interop/xtensor.hpp>
#include <type_traits>

using namespace espalier;

TEST_CASE("A tensor and its xtensor adaptor are the same memory") {
  Cpu<float> device;
  Tensor<Cpu<float>, float, 3> tensor(device, 2, 3, 4);
  auto a = as_xtensor(tensor);
  REQUIRE(a.dimension() == 3);
  CHECK((a.shape()[0] == 2 && a.shape()[1] == 3 && a.shape()[2] == 4));
  CHECK(a.data() == tensor.view().data);
  a(1, 2, 3) = 5;
  CHECK(tensor.view()(1, 2, 3) == 5);
  tensor.view()(0, 1, 0) = 2;
  CHECK(a(0, 1, 0) == 2);
}

TEST_CASE("Transposes, parts and single rows keep their strides") {
  double numbers[12];
  for (int i = 0; i < 12; ++i) numbers[i] = i;
  const auto m = matrix(numbers, 3, 4);
  auto t = as_xtensor(m.t());
  auto part = as_xtensor(m.rows(1, 2).cols(1, 2));
  auto row = as_xtensor(m.rows(2, 1));
  for (Index i = 0; i < 3; ++i)
    for (Index j = 0; j < 4; ++j) CHECK(t(std::size_t(j), std::size_t(i)) == m(i, j));
  CHECK((part(0, 0) == 5 && part(1, 1) == 10));
  CHECK((row(0, 0) == 8 && row(0, 3) == 11));
  part(1, 0) = -1;
  CHECK(numbers[9] == -1);
}

TEST_CASE("What may not be written adapts to what may not be written") {
  Cpu<double> device;
  const Tensor<Cpu<double>, double, 1> tensor(device, 4);
  const auto a = as_xtensor(tensor);
  static_assert(std::is_const_v<std::remove_reference_t<decltype(a(0))>>);
  CHECK(a(3) == 0);
}
