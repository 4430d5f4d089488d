// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <espalier/core/workspace.hpp>
#include <limits>

#include "device.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

/// Every verb of a team, on rows of `n` numbers; what comes out is exact for small whole numbers.
template <int Most>
struct Verbs {
  static constexpr int kMembers = Most;
  View<const float, 2> x;  // (rows, n)
  Index pretended;         // width: how wide a team is asked for
  View<float, 2> y;        // (rows, n)      x + sum + max, written in reverse through what others stored
  View<int, 1> runs;       // (rows)         how often once() ran

  ESPALIER_FN Index width() const { return pretended; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const Index n = x.cols();
    const float *const xi = x.row(i);
    float* const yi = y.row(i);
    team.each(n, [&](Index j) { yi[j] = xi[j]; });
    const float sum = team.sum(n, [&](Index j) { return yi[n - 1 - j]; });
    const float most = team.max(n, [&](Index j) { return yi[n - 1 - j]; });
    team.each(n, [&](Index j) { yi[j] = xi[j] + sum + most; });
    team.once([&] { runs(i) += 1; });
  }
};

/// Turns a row around through scratch.
template <int Most>
struct Turn {
  static constexpr int kMembers = Most;
  View<float, 2> x;  // (rows, n)

  ESPALIER_FN Index scratch_bytes() const { return x.cols() * Index(sizeof(float)); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const Index n = x.cols();
    float* const memory = team.template scratch<float>(scratch_bytes());
    float* const xi = x.row(i);
    team.each(n, [&](Index j) { memory[j] = xi[j]; });
    team.each(n, [&](Index j) { xi[j] = memory[n - 1 - j]; });
  }
};

/// A sum whose bits depend on its order.
struct Rounded {
  View<const float, 2> x;
  View<float, 1> sum;
  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const float total = team.sum(x.cols(), [&](Index j) { return x(i, j); });
    team.once([&] { sum(i) = total; });
  }
};

/// Every member's own idea of a sum, a maximum of numbers that may not be numbers, and a sum of doubles.
struct Agreement {
  View<const float, 2> x;
  View<float, 2> sums, most;  // (rows, members)
  View<double, 1> wide;
  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const float s = team.sum(x.cols(), [&](Index j) { return x(i, j); });
    const float m = team.max(x.cols(), [&](Index j) { return x(i, j); });
    const double d = team.sum(x.cols(), [&](Index j) { return double(x(i, j)) * 0.1; });
    team.each(sums.cols(), [&](Index j) {
      if (j % team.size() == team.rank()) sums(i, j) = s, most(i, j) = m;
    });
    team.once([&] { wide(i) = d; });
  }
};

template <int Most>
void check_verbs(Index width, Index n) {
  CAPTURE(Most);
  CAPTURE(width);
  CAPTURE(n);
  Cuda<float> device;
  const Index rows = 37;
  const auto x = whole<float>(rows * n, 50);
  auto xs = there(device, x);
  Cuda<float>::Buffer<float> ys(device, rows * n);
  Cuda<float>::Buffer<int> runs(device, rows);
  device.for_each_row(rows, Verbs<Most>{matrix<const float>(xs.data(), rows, n), width, matrix(ys.data(), rows, n),
                                        vector(runs.data(), rows)});
  const auto y = seen(device, ys.data(), rows * n);
  bool same = true;
  for (Index i = 0; i < rows; ++i) {
    const auto row = x.begin() + i * n;
    float sum = 0, most = *row;
    for (Index j = 0; j < n; ++j) sum += row[j], most = std::max(most, row[j]);
    for (Index j = 0; j < n; ++j) same = same && y[std::size_t(i * n + j)] == row[j] + sum + most;
  }
  CHECK(same);
  CHECK(seen(device, runs.data(), rows) == std::vector<int>(std::size_t(rows), 1));
}

}  // namespace

TEST_CASE("a team does every verb, whatever its size and the width of its rows") {
  for (const Index n : {1, 7, 32, 33, 1000}) {
    check_verbs<1024>(100, n);    // a warp
    check_verbs<1024>(5000, n);   // a block of 256
    check_verbs<1024>(20000, n);  // 512
    check_verbs<1024>(99999, n);  // 1024
    check_verbs<1>(5000, n), check_verbs<2>(5000, n), check_verbs<8>(5000, n), check_verbs<32>(5000, n);
    check_verbs<64>(5000, n);
  }
}

TEST_CASE("scratch is a team's own, in shared memory or beyond what a block may share") {
  Cuda<float> device;
  for (const Index n : {100, 12000, 30000, 100000}) {  // 400 bytes to 400 kB
    CAPTURE(n);
    const Index rows = n > 50000 ? 1500 : 300;
    auto x = whole<float>(rows * n, 100);
    auto xs = there(device, x);
    device.for_each_row(rows, Turn<32>{matrix(xs.data(), rows, n)});
    device.for_each_row(rows, Turn<1024>{matrix(xs.data(), rows, n)});
    device.for_each_row(rows, Turn<4>{matrix(xs.data(), rows, n)});
    const auto y = seen(device, xs.data(), rows * n);
    for (Index i = 0; i < rows; ++i) std::reverse(x.begin() + i * n, x.begin() + (i + 1) * n);
    CHECK(x == y);
  }
}

TEST_CASE("a sum has the same bits each time, and close to those of a sum in order") {
  Cuda<float> device;
  for (const Index n : {900, 5000, 50000}) {
    const Index rows = 200;
    std::vector<float> x;
    for (Index i = 0; i < rows * n; ++i) x.push_back(std::sin(float(i)) * 1e3f);
    auto xs = there(device, x);
    std::vector<float> first;
    for (int round = 0; round < 5; ++round) {
      Cuda<float>::Buffer<float> sums(device, rows);
      device.for_each_row(rows, Rounded{matrix<const float>(xs.data(), rows, n), vector(sums.data(), rows)});
      const auto now = seen(device, sums.data(), rows);
      if (round == 0) first = now;
      CHECK(now == first);
    }
    for (Index i = 0; i < rows; ++i) {
      double want = 0;
      for (Index j = 0; j < n; ++j) want += double(x[std::size_t(i * n + j)]);
      CHECK(std::abs(double(first[std::size_t(i)]) - want) <= 1e-3 * std::sqrt(double(n)) * 30);
    }
  }
}

TEST_CASE("all members come to the same sum and maximum, also of what is not a number") {
  Cuda<float> device;
  for (const Index n : {64, 3000}) {
    const Index rows = 8, members = 256;
    std::vector<float> x;
    for (Index i = 0; i < rows * n; ++i) x.push_back(std::sin(float(i)));
    x[std::size_t(3 * n + 17)] = std::numeric_limits<float>::quiet_NaN();
    auto xs = there(device, x);
    Cuda<float>::Buffer<float> sums(device, rows * members), most(device, rows * members);
    Cuda<float>::Buffer<double> wide(device, rows);
    device.for_each_row(rows, Agreement{matrix<const float>(xs.data(), rows, n), matrix(sums.data(), rows, members),
                                        matrix(most.data(), rows, members), vector(wide.data(), rows)});
    const auto s = seen(device, sums.data(), rows * members), m = seen(device, most.data(), rows * members);
    const auto same = [](float a, float b) { return a == b || (a != a && b != b); };
    bool agree = true;
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < members; ++j)
        agree = agree && same(s[std::size_t(i * members + j)], s[std::size_t(i * members)]) &&
                same(m[std::size_t(i * members + j)], m[std::size_t(i * members)]);
    CHECK(agree);
    CHECK(s[std::size_t(3 * members)] != s[std::size_t(3 * members)]);
    const auto d = seen(device, wide.data(), rows);
    double want = 0;
    for (Index j = 0; j < n; ++j) want += 0.1 * double(x[std::size_t(j)]);
    CHECK(std::abs(d[0] - want) <= 1e-11);
  }
}

TEST_CASE("no rows and no elements launch nothing") {
  Cuda<float> device;
  Cuda<float>::Buffer<float> x(device, 1);
  device.for_each_row(0, Turn<32>{matrix(x.data(), 1, 1)});
  device.for_each(0, detail::Zero<float>{x.data()});
  device.system().wait();
}
