// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <limits>
#include <vector>

#include "allocations.hpp"
#include "oracle.hpp"
#if defined(_OPENMP)
#include <omp.h>
#endif

using namespace espalier;

namespace {

/// Integers from −4 to 4: every sum of products below is exact in float, so any order of summation gives the same bits.
template <class T>
std::vector<T> integers(Index n, unsigned seed) {
  std::vector<T> x(static_cast<std::size_t>(n));
  for (T& v : x) {
    seed = seed * 1664525u + 1013904223u;
    v = T(float(int(seed >> 28) - 8 + int(seed >> 27 & 1)) / 2);
  }
  return x;
}
std::vector<float> fractions(Index n, unsigned seed) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& v : x) seed = seed * 1664525u + 1013904223u, v = float(seed >> 8) * 0x1p-23f - 1;
  return x;
}

template <class T>
View<const T, 2> operand(const std::vector<T>& x, Index rows, Index cols, bool transposed) {
  return transposed ? matrix(x.data(), cols, rows).t() : matrix(x.data(), rows, cols);
}

/// Runs with that many threads, and leaves the number as it was.
template <class F>
void with_threads([[maybe_unused]] int n, F f) {
#if defined(_OPENMP)
  const int before = omp_get_max_threads();
  omp_set_num_threads(n);
  f();
  omp_set_num_threads(before);
#else
  f();
#endif
}

struct Case {
  Index m, k, n;
};
constexpr Case kShapes[] = {{1, 1, 1},    {3, 5, 7},     {8, 16, 32},   {17, 33, 49},  {64, 300, 31}, {129, 257, 130},
                            {5, 700, 97}, {600, 40, 8},  {40, 600, 8},  {8, 520, 140}, {140, 9, 260}, {513, 3, 65},
                            {33, 1, 33},  {2, 1025, 16}, {270, 12, 64}, {64, 64, 1},   {1, 64, 64}};

}  // namespace

TEST_CASE_TEMPLATE("products equal the definition bit for bit, whatever the shape and whichever operand is transposed",
                   T, float, double) {
  Cpu<T> cpu;
  test::Oracle<T> oracle;
  for (const Case& shape : kShapes) {
    const Index m = shape.m, k = shape.k, n = shape.n;
    for (int way = 0; way < 4; ++way)
      for (const T beta : {T(0), T(1), T(-2)}) {
        CAPTURE(m);
        CAPTURE(k);
        CAPTURE(n);
        CAPTURE(way);
        CAPTURE(beta);
        const auto a = integers<T>(m * k, 1), b = integers<T>(k * n, 2);
        auto c = integers<T>(m * n, 3);
        auto expected = c;
        const auto x = operand(a, m, k, way & 1), y = operand(b, k, n, way & 2);
        cpu.gemm(T(2), x, y, beta, matrix(c.data(), m, n));
        oracle.gemm(T(2), x, y, beta, matrix(expected.data(), m, n));
        REQUIRE(c == expected);
      }
  }
}

TEST_CASE("weights stored in half the bytes are widened, not copied: the product of the widened weight, bit for bit") {
  Cpu<float, BFloat16> half;
  Cpu<float> full;
  for (const Case& shape : kShapes) {
    const Index m = shape.m, k = shape.k, n = shape.n;
    for (const bool transposed : {false, true}) {
      const auto a = fractions(m * k, 1), b = fractions(k * n, 2);
      std::vector<BFloat16> stored;
      std::vector<float> widened;
      for (float v : b) stored.push_back(BFloat16(v)), widened.push_back(float(stored.back()));
      std::vector<float> c(static_cast<std::size_t>(m * n)), expected = c;
      half.gemm(1, operand(a, m, k, false), operand(stored, k, n, transposed), 0, matrix(c.data(), m, n));
      full.gemm(1, operand(a, m, k, false), operand(widened, k, n, transposed), 0, matrix(expected.data(), m, n));
      CAPTURE(m);
      CAPTURE(k);
      CAPTURE(n);
      CAPTURE(transposed);
      REQUIRE(c == expected);
    }
  }
}

TEST_CASE("a product that overwrites never reads what was there") {
  Cpu<float> cpu;
  for (const Case& shape : kShapes) {
    const Index m = shape.m, k = shape.k, n = shape.n;
    const auto a = integers<float>(m * k, 1), b = integers<float>(k * n, 2);
    std::vector<float> c(static_cast<std::size_t>(m * n), std::numeric_limits<float>::quiet_NaN());
    for (const bool transposed : {false, true}) {
      cpu.gemm(1, operand(a, m, k, transposed), operand(b, k, n, false), 0, matrix(c.data(), m, n));
      for (float v : c) REQUIRE(std::isfinite(v));
      c.assign(c.size(), std::numeric_limits<float>::quiet_NaN());
    }
  }
}

TEST_CASE("a product writes its window and nothing beside it") {
  Cpu<float> cpu;
  for (const Index n : {1, 7, 8, 15, 16, 17, 31, 33, 100}) {
    const Index m = 9, k = 20, wide = n + 5;
    const auto a = integers<float>(m * k, 1), b = integers<float>(k * n, 2);
    std::vector<float> c(static_cast<std::size_t>((m + 2) * wide), 77.0f);
    const auto window = matrix(c.data(), m + 2, wide).rows(1, m).cols(2, n);
    cpu.gemm(1, operand(a, m, k, false), operand(b, k, n, false), 0, window);
    Index written = 0;
    for (Index i = 0; i < m + 2; ++i)
      for (Index j = 0; j < wide; ++j) {
        const bool inside = i >= 1 && i <= m && j >= 2 && j < 2 + n;
        if (!inside) REQUIRE(c[static_cast<std::size_t>(i * wide + j)] == 77.0f);
        written += inside && c[static_cast<std::size_t>(i * wide + j)] != 77.0f;
      }
    CHECK(written == m * n);
  }
}

TEST_CASE("the bits of a product do not depend on the number of threads") {
  Cpu<float> cpu;
  for (const Case& shape : {Case{257, 700, 130}, Case{600, 300, 8}, Case{8, 900, 600}, Case{100, 8, 500}}) {
    const Index m = shape.m, k = shape.k, n = shape.n;
    for (int way = 0; way < 4; ++way) {
      const auto a = fractions(m * k, 1), b = fractions(k * n, 2);
      std::vector<std::vector<float>> results;
      for (const int threads : {1, 2, 3})
        with_threads(threads, [&] {
          auto c = fractions(m * n, 3);
          cpu.gemm(0.3f, operand(a, m, k, way & 1), operand(b, k, n, way & 2), 0.7f, matrix(c.data(), m, n));
          results.push_back(c);
        });
      REQUIRE(results[0] == results[1]);
      REQUIRE(results[0] == results[2]);
    }
  }
}

TEST_CASE("an element of a product does not depend on how many others there are") {
  Cpu<float> cpu;
  const Index m = 70, k = 600, n = 90;
  const auto a = fractions(m * k, 1), b = fractions(k * n, 2);
  std::vector<float> whole(static_cast<std::size_t>(m * n)), one(1);
  cpu.gemm(1, operand(a, m, k, false), operand(b, k, n, true), 0, matrix(whole.data(), m, n));
  for (Index i = 0; i < m; i += 13)
    for (Index j = 0; j < n; j += 11) {
      cpu.gemm(1, operand(a, m, k, false).rows(i, 1), operand(b, k, n, true).cols(j, 1), 0, matrix(one.data(), 1, 1));
      REQUIRE(one[0] == whole[static_cast<std::size_t>(i * n + j)]);
    }
}

TEST_CASE("a batched product is one product per element of the first axis") {
  Cpu<double> cpu;
  test::Oracle<double> oracle;
  const auto a = integers<double>(3 * 5 * 6, 1), b = integers<double>(3 * 6 * 7, 2);
  std::vector<double> c(3 * 5 * 7, 1.0), expected = c;
  const View<const double, 3> x{a.data(), {3, 5, 6}, {30, 6, 1}}, y{b.data(), {3, 6, 7}, {42, 7, 1}};
  cpu.gemm(1, x, y, 1, View<double, 3>{c.data(), {3, 5, 7}, {35, 7, 1}});
  oracle.gemm(1, x, y, 1, View<double, 3>{expected.data(), {3, 5, 7}, {35, 7, 1}});
  CHECK(c == expected);
}

TEST_CASE("a team sums in lanes that depend on the length alone, and finds the maximum wherever it is") {
  const HostTeam team;
  for (const Index n : {1, 2, 15, 16, 17, 31, 32, 33, 1000}) {
    const auto x = fractions(n, unsigned(n));
    const float sum = team.sum(n, [&](Index i) { return x[std::size_t(i)]; });
    float lane[16] = {};
    for (Index i = 0; i < n; ++i) lane[i % 16] += x[std::size_t(i)];
    for (int width = 8; width > 0; width /= 2)
      for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
    CHECK(sum == lane[0]);
    for (Index at = 0; at < n; ++at)
      CHECK(team.max(n, [&](Index i) { return i == at ? 2.0f : x[std::size_t(i)]; }) == 2.0f);
  }
  // Not a number is not greater than anything, and does not hide what is.
  CHECK(team.max(40, [](Index i) { return i == 7 ? std::numeric_limits<float>::quiet_NaN() : float(i); }) == 39.0f);
}

TEST_CASE("every row and every element is visited once, by any number of threads") {
  Cpu<float> cpu;
  for (const int threads : {1, 2, 3})
    with_threads(threads, [&] {
      for (const Index n : {0, 1, 5, 1000, 50000}) {
        std::vector<int> seen(static_cast<std::size_t>(n)), rows = seen;
        int *const s = seen.data(), *const r = rows.data();
        cpu.for_each(n, [=](Index i) { ++s[i]; });
        cpu.for_each_row(n, [=](auto&, Index i) { ++r[i]; });
        CHECK(seen == std::vector<int>(static_cast<std::size_t>(n), 1));
        CHECK(rows == seen);
      }
    });
}

TEST_CASE("teams of the device compute on tiles as any other team does") {
  const HostTeam plain;
  const detail::CpuTeam fast;
  for (const Case& shape : kShapes) {
    const Index m = shape.m, k = shape.k, n = shape.n;
    const auto a = integers<float>(m * k, 1), b = integers<float>(k * n, 2);
    std::vector<float> c(static_cast<std::size_t>(m * n)), expected = c;
    for (const float beta : {0.0f, 1.0f}) {
      plain.multiply(operand(a, m, k, true), operand(b, k, n, false), beta, matrix(expected.data(), m, n));
      fast.multiply(operand(a, m, k, true), operand(b, k, n, false), beta, matrix(c.data(), m, n));
      CHECK(c == expected);
    }
    std::vector<float> wide(static_cast<std::size_t>(k * (m + 3)), 5.0f), expected_wide = wide;
    plain.copy(matrix(a.data(), m, k).t(), matrix(expected_wide.data(), k, m + 3));
    fast.copy(matrix(a.data(), m, k).t(), matrix(wide.data(), k, m + 3));
    CHECK(wide == expected_wide);
    CHECK(wide[std::size_t(m)] == 0);
    // Both products of a pair reach whoever asked, once for every element.
    std::vector<float> both(static_cast<std::size_t>(m * n)), expected_both = both;
    const auto into = [n](std::vector<float>& to) {
      return [&to, n](Index i, Index j, auto x, auto y) {
        using Lanes = decltype(x);
        float* const at = to.data() + i * n + j;
        (Lanes::load(at) + 3.0f * x + x * y).store(at);
      };
    };
    const auto left = operand(a, m, k, false), right = operand(b, k, n, false);
    plain.multiply_both(left, right, left.cols(0, k / 2), right.rows(0, k / 2), into(expected_both));
    fast.multiply_both(left, right, left.cols(0, k / 2), right.rows(0, k / 2), into(both));
    for (std::size_t i = 0; i < both.size(); ++i) CHECK(both[i] == doctest::Approx(expected_both[i]).epsilon(1e-6));
  }
}

namespace {

/// Keeps numbers in its team's scratch.
struct Keeps {
  double* sums;
  static Index scratch_bytes() { return 500 * Index(sizeof(double)); }
  template <class Team>
  void operator()(Team& team, Index i) const {
    double* const x = team.template scratch<double>(scratch_bytes());
    team.each(500, [&](Index j) { x[j] = double(i); });
    sums[i] = team.sum(500, [&](Index j) { return x[j]; });
  }
};

}  // namespace

TEST_CASE("the scratch that was reserved is what a kernel gets: it is taken once a thread") {
  Cpu<float> device;
  std::vector<double> sums(7);
  CHECK(test::bytes_on_a_new_thread([&] {
          for (int i = 0; i < 2; ++i) device.for_each_row(7, Keeps{sums.data()});
        }) == Keeps::scratch_bytes());
  CHECK(sums == std::vector<double>{0, 500, 1000, 1500, 2000, 2500, 3000});
}
