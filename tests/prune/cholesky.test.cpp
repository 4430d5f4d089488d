// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/cholesky.hpp>

#include "gradients.hpp"
#include "oracle_numbers.hpp"
#include "threads.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

/// A positive definite matrix: XᵀX / tokens, and a little on its diagonal.
std::vector<double> some_matrix(Index n) {
  const Index tokens = n / 2 + 3;
  const auto x = SplitMix64(std::uint64_t(n)).uniform(tokens * n);
  std::vector<double> a(std::size_t(n * n), 0.0);
  for (Index t = 0; t < tokens; ++t)
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j)
        a[std::size_t(i * n + j)] += x[std::size_t(t * n + i)] * x[std::size_t(t * n + j)] / double(tokens);
  for (Index i = 0; i < n; ++i) a[std::size_t(i * n + i)] += 0.05;
  return a;
}
std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b, Index n, bool transposed) {
  std::vector<double> c(std::size_t(n * n), 0.0);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j)
      for (Index k = 0; k < n; ++k)
        c[std::size_t(i * n + j)] += a[std::size_t(i * n + k)] * b[std::size_t(transposed ? j * n + k : k * n + j)];
  return c;
}

}  // namespace

TEST_CASE("L Lᵀ is the matrix and its inverse is the inverse, in one block and in several") {
  for (const std::ptrdiff_t n : {Index(1), Index(5), kCholeskyBlock, 2 * kCholeskyBlock + 37}) {
    CAPTURE(n);
    auto a = some_matrix(n);
    const auto whole = a;
    for (Index i = 0; i < n; ++i)
      for (Index j = i + 1; j < n; ++j) a[std::size_t(i * n + j)] = std::nan("");  // nobody reads what is above
    Cpu<double> device;
    Workspace<Cpu<double>> workspace(device);
    Pass<Cpu<double>> pass(workspace, {});
    auto l = a;
    cholesky(pass, matrix(l.data(), n, n));
    CHECK(relative_error(product(l, l, n, true), whole) <= 1e-13);
    bool zeros = true;
    for (Index i = 0; i < n; ++i)
      for (Index j = i + 1; j < n; ++j) zeros = zeros && l[std::size_t(i * n + j)] == 0;
    CHECK(zeros);
    std::vector<double> inverse(a.size());
    invert(pass, matrix(a.data(), n, n), matrix(inverse.data(), n, n));
    std::vector<double> one(a.size(), 0.0);
    for (Index i = 0; i < n; ++i) one[std::size_t(i * n + i)] = 1;
    CHECK(relative_error(product(inverse, whole, n, false), one) <= 1e-11);
  }
}

TEST_CASE("the same bits on any number of threads") {
  const Index n = 300;
  std::vector<std::vector<float>> seen;
  for (const int count : {1, 2, 3}) {
    use_threads(count);
    const auto a = some_matrix(n);
    std::vector<float> x(a.begin(), a.end()), inverse(x.size());
    Cpu<float> device;
    Workspace<Cpu<float>> workspace(device);
    Pass<Cpu<float>> pass(workspace, {});
    invert(pass, matrix(x.data(), n, n), matrix(inverse.data(), n, n));
    seen.push_back(inverse);
  }
  use_threads(1);
  CHECK(seen[0] == seen[1]);
  CHECK(seen[0] == seen[2]);
}

TEST_CASE("what is not positive definite becomes numbers that are none, wherever the pivot fails") {
  for (const std::ptrdiff_t at : {Index(0), Index(100), Index(200)})
    for (const double pivot : {0.0, -1.0}) {
      const Index n = 201;
      std::vector<double> a(std::size_t(n * n), 0.0), inverse(a.size());
      for (Index i = 0; i < n; ++i) a[std::size_t(i * n + i)] = i == at ? pivot : 2;
      Cpu<double> device;
      Workspace<Cpu<double>> workspace(device);
      Pass<Cpu<double>> pass(workspace, {});
      invert(pass, matrix(a.data(), n, n), matrix(inverse.data(), n, n));
      CHECK(std::isnan(inverse[std::size_t(at * n + at)]));
    }
}
