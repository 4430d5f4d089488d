// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/interop/eigen.hpp>
#include <type_traits>

using namespace espalier;

TEST_CASE("A tensor and its Eigen map are the same memory") {
  Cpu<float> device;
  Tensor<Cpu<float>, float, 2> tensor(device, 3, 5);
  auto map = as_eigen(tensor);
  CHECK(map.data() == tensor.view().data);
  REQUIRE((map.rows() == 3 && map.cols() == 5));
  map(1, 2) = 7;
  CHECK(tensor.view()(1, 2) == 7);
  tensor.view()(2, 4) = -1;
  CHECK(map(2, 4) == -1);
  CHECK(map.sum() == 6);
}

TEST_CASE("Transposes, parts and vectors map with their strides") {
  double numbers[12];
  for (int i = 0; i < 12; ++i) numbers[i] = i;
  const auto a = matrix(numbers, 3, 4);
  const auto part = a.rows(1, 2).cols(1, 2);
  CHECK(as_eigen(a.t()) == as_eigen(a).transpose());
  CHECK(as_eigen(part) == as_eigen(a).block(1, 1, 2, 2));
  CHECK(as_eigen(part.t())(1, 0) == 6);
  const View<double, 1> column{numbers + 1, {3}, {4}};
  CHECK(as_eigen(column) == as_eigen(a).col(1));
  as_eigen(column).setZero();
  CHECK(numbers[5] == 0);
  CHECK(numbers[6] == 6);
}

TEST_CASE("What may not be written maps to what may not be written") {
  Cpu<double> device;
  const Tensor<Cpu<double>, double, 1> tensor(device, 4);
  const auto map = as_eigen(tensor);
  static_assert(std::is_const_v<std::remove_pointer_t<decltype(map.data())>>);
  CHECK(map.data() == tensor.view().data);
}
