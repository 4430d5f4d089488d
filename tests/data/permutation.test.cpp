// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/data/permutation.hpp>
#include <set>
#include <vector>

using namespace espalier;

TEST_CASE("Every place is taken once, for any number of things") {
  for (const std::uint64_t n :
       std::initializer_list<std::uint64_t>{1, 2, 3, 4, 5, 7, 16, 17, 100, 255, 256, 257, 5000}) {
    const Permutation order{n, 42, 3};
    std::vector<int> seen(n);
    for (std::uint64_t i = 0; i < n; ++i) {
      REQUIRE(order(i) < n);
      ++seen[order(i)];
    }
    for (const int times : seen) CHECK(times == 1);
  }
}

TEST_CASE("Other seeds and other epochs are other orders, and the same are the same") {
  std::set<std::vector<std::uint64_t>> orders;
  for (const std::uint64_t seed : {0ull, 1ull, 1ull << 40})
    for (const std::uint32_t epoch : {0u, 1u, 2u}) {
      std::vector<std::uint64_t> order;
      for (std::uint64_t i = 0; i < 50; ++i) order.push_back(Permutation{50, seed, epoch}(i));
      orders.insert(order);
      for (std::uint64_t i = 0; i < 50; ++i) CHECK(Permutation{50, seed, epoch}(i) == order[i]);
    }
  CHECK(orders.size() == 9);
}

TEST_CASE("Places are spread evenly over epochs") {
  constexpr std::uint64_t n = 10, epochs = 20000;
  double chi = 0;
  std::vector<int> count(n * n);
  for (std::uint32_t e = 0; e < epochs; ++e)
    for (std::uint64_t i = 0; i < n; ++i) ++count[i * n + Permutation{n, 7, e}(i)];
  for (const int c : count) chi += (c - 2000.0) * (c - 2000.0) / 2000.0;
  CHECK(chi < 160);  // 81 degrees of freedom: beyond 160 once in a few million
  CHECK(chi > 30);   // and a sequence that is too even is no better
}
