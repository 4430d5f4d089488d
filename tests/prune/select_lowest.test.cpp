// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/core/random.hpp>
#include <espalier/prune/select_lowest.hpp>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "fiber_team.hpp"
#include "oracle.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

/// A device whose teams have eight members, and which says how often the host has asked for something.
template <class T>
struct CrewDevice : Oracle<T> {
  template <class F>
  void for_each_row(Index n, F f) {
    for (Index i = 0; i < n; ++i) run_row(crew, f, i);
  }
  template <class U>
  void download(const U* from, U* to, Index n) {
    ++downloads;
    Oracle<T>::download(from, to, n);
  }
  Crew crew{8};
  int downloads = 0;
};

template <class Device, class A>
std::vector<std::uint8_t> lowest(const std::vector<A>& scores, Index k) {
  Device device;
  Workspace<Device> workspace(device);
  Pass<Device> pass(workspace, {});
  std::vector<std::uint8_t> removed(scores.size(), 9);
  const Index n = Index(scores.size());
  select_lowest(pass, vector(scores.data(), n), k, vector(removed.data(), n));
  if constexpr (requires { device.downloads; }) CHECK(device.downloads == 0);
  return removed;
}

/// The definition: sorted, with ties in order of index.
template <class A>
std::vector<std::uint8_t> define(const std::vector<A>& scores, Index k) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return !std::isnan(scores[a]) && (std::isnan(scores[b]) || scores[a] < scores[b]);
  });
  std::vector<std::uint8_t> removed(scores.size(), 0);
  for (Index i = 0; i < k; ++i) removed[order[std::size_t(i)]] = 1;
  return removed;
}

const char* const kKinds[] = {"uniform",      "any bits",         "few values", "all equal", "zeros of both signs",
                              "not a number", "all not a number", "descending"};
template <class A>
std::vector<A> draw(const std::string& kind, Index n) {
  const RandomStream stream{5, Purpose::test};
  constexpr A nan = std::numeric_limits<A>::quiet_NaN();
  std::vector<A> x;
  for (Index i = 0; i < n; ++i) {
    const std::uint64_t word = stream.bits(std::uint64_t(2 * i)), more = stream.bits(std::uint64_t(2 * i + 1));
    const A uniform = A(stream.uniform(std::uint64_t(i)) - 0.5);
    if (kind == "any bits") {  // infinities, subnormal numbers and whatever else there is
      if constexpr (sizeof(A) == 4) x.push_back(std::bit_cast<A>(std::uint32_t(word)));
      else x.push_back(std::bit_cast<A>(word << 32 | more));
    } else if (kind == "few values") {
      x.push_back(A(int(word % 5)) - 2);
    } else if (kind == "all equal") {
      x.push_back(A(0.25));
    } else if (kind == "zeros of both signs") {
      x.push_back(word % 3 == 0 ? A(0) : word % 3 == 1 ? -A(0) : std::numeric_limits<A>::denorm_min());
    } else if (kind == "not a number") {
      x.push_back(word % 3 == 0   ? std::copysign(nan, uniform)
                  : word % 3 == 1 ? uniform
                                  : std::numeric_limits<A>::infinity());
    } else if (kind == "all not a number") {
      x.push_back(std::copysign(nan, uniform));
    } else if (kind == "descending") {
      x.push_back(A(-i));
    } else {
      x.push_back(uniform);
    }
  }
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("exactly the k lowest are removed, in order of index where they are equal, what is no number last",
                   Device, Cpu<float>, Cpu<double>, CrewDevice<float>, CrewDevice<double>) {
  using A = typename Device::Accumulate;
  for (const char* kind : kKinds)
    for (const Index n : {1, 2, 31, 33, 1000, 4096, 4097, 9000}) {
      const auto scores = draw<A>(kind, n);
      for (const Index k : {Index{0}, Index{1}, n / 3, n / 2, n - 1, n}) {
        const auto got = lowest<Device>(scores, k);
        const bool same = got == define(scores, k);
        CAPTURE(kind);
        CAPTURE(n);
        CAPTURE(k);
        CHECK(same);
        CHECK(std::count(got.begin(), got.end(), std::uint8_t{1}) == k);
      }
    }
}

TEST_CASE("chunks grow with the number of scores, so that there are never many") {
  const Index n = kernel::Chunks::kLeast * kernel::Chunks::kMost + 1000;
  CHECK(kernel::Chunks{n}.length() > kernel::Chunks::kLeast);
  CHECK(kernel::Chunks{n}.count() <= kernel::Chunks::kMost);
  const auto scores = draw<float>("few values", n);
  for (const Index k : {n / 10, n / 2}) CHECK((lowest<Cpu<float>>(scores, k) == define(scores, k)));
}

TEST_CASE("the order of the keys is that of the numbers") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float ascending[] = {-inf, -3e38f, -1.0f, -1e-45f, 0.0f, 1e-45f, 1.0f, 3e38f, inf, nan};
  for (std::size_t i = 0; i + 1 < std::size(ascending); ++i)
    CHECK(kernel::ordered_key(ascending[i]) < kernel::ordered_key(ascending[i + 1]));
  CHECK(kernel::ordered_key(-0.0f) == kernel::ordered_key(0.0f));
  CHECK(kernel::ordered_key(-nan) == kernel::ordered_key(nan));
  CHECK(kernel::ordered_key(-0.0) == kernel::ordered_key(0.0));
}

TEST_CASE("a number of scores that does not exist is refused") {
  CHECK_THROWS_AS(lowest<Cpu<float>>(std::vector<float>(3), 4), Error);
  CHECK_THROWS_AS(lowest<Cpu<float>>(std::vector<float>(3), -1), Error);
  CHECK(lowest<Cpu<float>>(std::vector<float>{}, 0).empty());
}
