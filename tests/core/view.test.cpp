// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/core/view.hpp>
#include <numeric>
#include <type_traits>

using namespace espalier;

static_assert(std::is_trivially_copyable_v<View<float, 3>> && std::is_aggregate_v<View<float, 3>>);
static_assert(std::is_convertible_v<View<float, 2>, View<const float, 2>>);
static_assert(!std::is_convertible_v<View<const float, 2>, View<float, 2>>);

TEST_CASE("a transpose is a view of the same numbers") {
  int x[6];
  std::iota(x, x + 6, 0);
  const auto m = matrix(x, 2, 3);
  CHECK(m(1, 2) == 5);
  CHECK(m.t().rows() == 3);
  for (Index i = 0; i < 2; ++i)
    for (Index j = 0; j < 3; ++j) CHECK(m.t()(j, i) == m(i, j));
  CHECK(m.dense());
  CHECK_FALSE(m.t().dense());
}

TEST_CASE("rows and columns of a matrix are windows into it") {
  int x[12];
  std::iota(x, x + 12, 0);
  const auto m = matrix(x, 3, 4);
  CHECK(m.rows(1, 2)(0, 0) == 4);
  CHECK(m.cols(2, 2)(2, 1) == 11);
  CHECK(m.cols(2, 2).size() == 6);
  CHECK_FALSE(m.cols(2, 2).dense());
  CHECK(m.rows(1, 2).dense());
  m.cols(1, 1)(0, 0) = 77;
  CHECK(x[1] == 77);
}

TEST_CASE("a view without data says so") {
  CHECK_FALSE(bool(View<int, 2>{}));
  int x = 0;
  CHECK(bool(vector(&x, 1)));
  CHECK(flat(matrix(&x, 1, 1)).size() == 1);
}
