// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>

#include "statistics.hpp"

using espalier::tool::Estimate;
using espalier::tool::student_t;

TEST_CASE("The quantile of Student's t is that of the tables, also beyond ours") {
  const struct {
    espalier::Index freedom;
    double t;
  } published[] = {{1, 12.706205}, {2, 4.302653},  {4, 2.776445},  {9, 2.262157},
                   {12, 2.178813}, {13, 2.160369}, {20, 2.085963}, {29, 2.045230}, {1000, 1.962339}};
  for (const auto& p : published) {
    CAPTURE(p.freedom);
    CHECK(student_t(p.freedom) == doctest::Approx(p.t).epsilon(5e-4));
  }
}

TEST_CASE("A mean has the confidence interval of its sample; one number has none") {
  const Estimate e({2, 4, 4, 4, 5, 5, 7, 9});  // mean 5, squares 32
  CHECK(e.mean == doctest::Approx(5));
  CHECK(e.half == doctest::Approx(2.364624 * std::sqrt(32.0 / 7 / 8)).epsilon(1e-5));
  const Estimate one({3});
  CHECK(one.mean == 3);
  CHECK(one.half == 0);
}

TEST_CASE("A median is the one in the middle, or the mean of two") {
  using espalier::tool::median;
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 3, 2}) == 2.5);
  CHECK(median({}) == 0);
}
