// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <espalier/core/random.hpp>
#include <set>

using namespace espalier;

TEST_CASE("Philox4x32-10 gives the known answers that its authors publish") {
  const auto check = [](Philox got, std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
    CHECK(got.word[0] == a);
    CHECK(got.word[1] == b);
    CHECK(got.word[2] == c);
    CHECK(got.word[3] == d);
  };
  // Random123, examples/kat_vectors.
  check(Philox::of(0, 0, 0, 0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
  const std::uint32_t ones = 0xffffffff;
  check(Philox::of(ones, ones, ones, ones, ones, ones), 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
  check(Philox::of(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0), 0xd16cfe09, 0x94fdcceb,
        0x5001e420, 0x24126ea1);
}

TEST_CASE("a stream is a function of its seed, purpose, number and step, and of nothing else") {
  const RandomStream stream{1, Purpose::dropout, 2, 3};
  CHECK(stream.bits(5) == RandomStream{1, Purpose::dropout, 2, 3}.bits(5));
  std::set<std::uint32_t> seen;
  for (const std::uint64_t seed : {1ull, 2ull, 1ull << 32})
    for (const Purpose purpose :
         {Purpose::initialisation, Purpose::dropout, Purpose::importance, Purpose::data, Purpose::test})
      for (const std::uint32_t which : {0u, 2u})
        for (const std::uint32_t step : {0u, 3u})
          for (const std::uint64_t i : {0ull, 1ull, 5ull, 1ull << 33, 1ull << 35})
            seen.insert(RandomStream{seed, purpose, which, step}.bits(i));
  CHECK(seen.size() == 3 * 5 * 2 * 2 * 5);  // a collision of 300 numbers of 32 bits has a chance of one in 10^5
}

TEST_CASE("uniform numbers lie inside (0, 1), are exact in float, and look uniform") {
  const RandomStream stream{7, Purpose::test};
  double sum = 0, squares = 0;
  int bins[16] = {};
  constexpr int n = 1 << 16;
  for (int i = 0; i < n; ++i) {
    const double u = stream.uniform(std::uint64_t(i));
    REQUIRE(u > 0);
    REQUIRE(u < 1);
    REQUIRE(double(float(u)) == u);
    sum += u, squares += u * u, ++bins[int(u * 16)];
  }
  CHECK(std::abs(sum / n - 0.5) < 4 * std::sqrt(1.0 / 12 / n));
  CHECK(std::abs(squares / n - 1.0 / 3) < 4 * std::sqrt(4.0 / 45 / n));
  double chi = 0;
  for (const int b : bins) chi += (b - n / 16.0) * (b - n / 16.0) / (n / 16.0);
  CHECK(chi < 44);  // 15 degrees of freedom: exceeded once in 10^4 streams
}
