// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/backend/cpu.hpp>
#include <espalier/kernel/taylor_tiles.hpp>
#include <vector>

#include "gradients.hpp"
#if defined(_OPENMP)
#include <omp.h>
#endif

using namespace espalier;
using namespace espalier::test;

namespace {

struct Extent {
  Index out, in, rank;
};
// Around the sizes of tiles (6), blocks (48), panels (128) and strips (32, 64, 256).
const Extent kShapes[] = {{1, 1, 1}, {5, 31, 2}, {6, 32, 8}, {49, 129, 3}, {100, 600, 8}, {13, 2100, 5}, {97, 260, 16}};

/// Scores of rows and of columns; W is stored as the device stores weights.
template <class Device>
std::vector<std::vector<typename Device::Accumulate>> scores(Extent s, Power power) {
  using A = typename Device::Accumulate;
  using W = typename Device::Weight;
  Device device;
  const auto drawn = [](Index n, std::uint64_t seed) {
    std::vector<float> x(static_cast<std::size_t>(n));
    fill(x.data(), n, seed);
    return std::vector<A>(x.begin(), x.end());
  };
  const auto a = drawn(s.rank * s.in, 1), b = drawn(s.out * s.rank, 2), da = drawn(s.rank * s.in, 3),
             db = drawn(s.out * s.rank, 4);
  std::vector<W> w;
  for (const A x : drawn(s.out * s.in, 5)) w.push_back(W(float(BFloat16(float(x)))));
  const kernel::LowRankSum<W, A> weight{matrix<const W>(w.data(), s.out, s.in), matrix(b.data(), s.out, s.rank),
                                        matrix(a.data(), s.rank, s.in), A(2)};
  StepState state;
  state.clip = 0.5;
  const kernel::TaylorElement<W, A> element{
      weight, matrix(db.data(), s.out, s.rank), matrix(da.data(), s.rank, s.in), A(0.25), A(3), power, &state};
  std::vector<std::vector<A>> out{std::vector<A>(std::size_t(s.out), A(1)), std::vector<A>(std::size_t(s.in), A(1))};
  const kernel::TaylorRows<W, A> rows{{element, vector(out[0].data(), s.out)}};
  const kernel::TaylorColumns<W, A> columns{{element, vector(out[1].data(), s.in)}};
  device.for_each_row(rows.blocks(), rows);
  device.for_each_row(columns.blocks(), columns);
  std::vector<std::vector<A>> sums{std::vector<A>(std::size_t(s.out), A(1)), std::vector<A>(std::size_t(s.in), A(1))};
  for (Index i = 0; i < s.out; ++i)
    for (Index j = 0; j < s.in; ++j) {
      const A x = element(i, j);
      sums[0][std::size_t(i)] += x, sums[1][std::size_t(j)] += x;
    }
  out.insert(out.end(), sums.begin(), sums.end());
  return out;
}

template <class T>
std::vector<double> widened(const std::vector<T>& x) {
  return {x.begin(), x.end()};
}

}  // namespace

TEST_CASE_TEMPLATE("scores in tiles are the sums of the elements, added to what is there", Device, Oracle<double>,
                   Cpu<double>, Cpu<float>, Cpu<float, BFloat16>) {
  const double tolerance = sizeof(typename Device::Accumulate) == 8 ? 1e-13 : 2e-5;
  for (const Extent& s : kShapes)
    for (const Power power : {Power::square, Power::abs}) {
      const auto got = scores<Device>(s, power);
      CAPTURE(s.out);
      CAPTURE(s.in);
      CHECK(relative_error(widened(got[0]), widened(got[2])) < tolerance);
      CHECK(relative_error(widened(got[1]), widened(got[3])) < tolerance);
    }
}

#if defined(_OPENMP)
TEST_CASE("the bits of a score do not depend on the number of threads") {
  const int before = omp_get_max_threads();
  std::vector<std::vector<std::vector<float>>> results;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    results.push_back(scores<Cpu<float>>({300, 700, 8}, Power::square));
  }
  omp_set_num_threads(before);
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}
#endif
