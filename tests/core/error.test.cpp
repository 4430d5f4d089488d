// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/core/error.hpp>
#include <string>

using namespace espalier;

TEST_CASE("format puts every argument in its place") {
  CHECK(format("{} of {}: {} {} {}", 3, std::string("four"), "text", 'c', true) == "3 of four: text c true");
  CHECK(format("{} {} {}", -5l, 7u, 2.5) == "-5 7 2.5");
  CHECK(format("nothing") == "nothing");
  CHECK(format("{", 1) == "{1");
  CHECK(format("{} {}", 18446744073709551615ull, 0.1f) == "18446744073709551615 0.1");
}

TEST_CASE("require throws one exception type with a code and a message") {
  CHECK_NOTHROW(require(true, "never {}", 1));
  try {
    require(2 > 3, "x is ({}, {}), expected (?, {})", 2, 5, 4);
    CHECK(false);
  } catch (const Error& e) {
    CHECK(e.code() == Errc::usage);
    CHECK(std::string(e.what()) == "x is (2, 5), expected (?, 4)");
  }
  CHECK_THROWS_AS(fail(Errc::bad_input, "file {}", "a"), Error);
}
