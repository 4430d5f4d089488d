// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/prune/schedule.hpp>

#include "oracle_numbers.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("the cubic schedule is the oracle's table") {
  const auto& json = oracle_numbers()["schedule"];
  const auto table = numbers(json["table"]);
  REQUIRE(table.size() == 101);
  const auto s = CubicSchedule::over(json["T"].get<Index>(), json["s_final"].get<double>(), json["warm"].get<double>(),
                                     json["cool"].get<double>());
  for (std::size_t t = 0; t < table.size(); ++t) CHECK(std::abs(s(Index(t)) - table[t]) <= 1e-12);
}

TEST_CASE_TEMPLATE("a schedule is nothing before it begins, everything after it ends, and never falls", Schedule,
                   CubicSchedule, LinearSchedule) {
  const Schedule s{.begin = 40, .end = 360, .sparsity = 0.5};
  CHECK(s(0) == 0);
  CHECK(s(40) == 0);
  CHECK(s(360) == 0.5);
  CHECK(s(100000) == 0.5);
  for (Index t = 1; t <= 400; ++t) CHECK(s(t) >= s(t - 1));
  const Schedule started{.begin = 10, .end = 20, .sparsity = 0.5, .initial = 0.25};
  CHECK(started(1) == 0.25);
  CHECK(started(11) > 0.25);
  CHECK(started(20) == 0.5);
  const Schedule at_once{.begin = 5, .end = 5, .sparsity = 0.5};
  CHECK(at_once(4) == 0);
  CHECK(at_once(5) == 0.5);
}

TEST_CASE("the linear schedule is a straight line, the cubic one prunes early") {
  const LinearSchedule line{.begin = 0, .end = 10, .sparsity = 0.5};
  for (Index t = 0; t <= 10; ++t) CHECK(line(t) == doctest::Approx(0.05 * double(t)));
  const CubicSchedule cubic{.begin = 0, .end = 10, .sparsity = 0.5};
  CHECK(cubic(5) == doctest::Approx(0.5 * (1 - 0.125)));
}

TEST_CASE("over T steps a tenth is warm-up and a tenth is left to recover") {
  const auto s = LinearSchedule::over(400, 0.3);
  CHECK(s.begin == 40);
  CHECK(s.end == 360);
  CHECK(s.sparsity == 0.3);
}
