// SPDX-License-Identifier: MIT
// Attention that knows where queries and keys stand, against its definition: one row of the softmax at a time.
#include <doctest/doctest.h>
#include <cmath>
#include <espalier/kernel/attention_positions.hpp>
#include <espalier/nn/relative_buckets.hpp>
#include <vector>

#include "cpu_or_oracle.hpp"
#include "gradients.hpp"
#if defined(_OPENMP)
#include <omp.h>
#endif

using namespace espalier;
using namespace espalier::test;

namespace {

struct Case {
  Index batch, seq, heads, width;
  RelativeBuckets buckets;
  bool key = true, query = true;  // which of the two terms there are
  Index tokens() const { return batch * seq; }
  Index wide() const { return heads * width; }
  Index first() const { return buckets.of(1 - seq); }
  Index count() const { return buckets.of(seq - 1) - first() + 1; }
};
// Around the sizes of tiles (32) and blocks (64); every distance its own, far ones together, and hardly any told apart.
const Case kCases[] = {{1, 1, 1, 1, {512, 256}},  {2, 5, 2, 3, {512, 256}},  {1, 32, 2, 4, {512, 256}}, {2, 33, 1, 5, {20, 6}},
                       {2, 65, 2, 7, {512, 32}},  {1, 150, 2, 6, {3, 0}},    {1, 150, 1, 8, {512, 256}}, {2, 70, 2, 5, {64, 8}, true, false},
                       {2, 70, 2, 5, {64, 8}, false, true}};

template <class T>
struct Attended {
  std::vector<T> y, dq, dk, dv, dkey, dquery;
};

template <class T>
std::vector<T> drawn(Index n, std::uint64_t seed, double half = 1) {
  std::vector<T> x(static_cast<std::size_t>(n));
  fill(x.data(), n, seed, half);
  return x;
}
std::vector<int> visibility(const Case& c, bool pad) {
  std::vector<int> visible(std::size_t(c.tokens()), 1);
  for (Index t = 0; pad && t < c.tokens(); ++t) visible[std::size_t(t)] = t % 5 != 2 && t % c.seq < c.seq - c.seq / 8 && t % c.seq >= c.seq / 3;
  return visible;
}

template <class Device>
Attended<typename Device::Activation> attend(const Case& c, const std::vector<double>& forward, const std::vector<double>& backward, bool pad,
                                             double spike = 1) {
  using T = typename Device::Activation;
  Device device;
  const auto q = drawn<T>(c.tokens() * c.wide(), 1), k = drawn<T>(c.tokens() * c.wide(), 2), v = drawn<T>(c.tokens() * c.wide(), 3),
             dy = drawn<T>(c.tokens() * c.wide(), 4), key = drawn<T>(c.count() * c.wide(), 5),
             query = drawn<T>(c.count() * c.wide(), 6, spike);
  const std::vector<T> mask(forward.begin(), forward.end()), seen(backward.begin(), backward.end());
  const auto visible = visibility(c, pad);
  const Index sides = c.seq + kernel::HeadLayout::lanes;
  std::vector<int> index;
  for (Index d = -sides; d <= sides; ++d) index.push_back(int(c.buckets.of(std::clamp(d, 1 - c.seq, c.seq - 1)) - c.first()));
  const auto in = [&](const auto& x, Index rows) { return matrix(x.data(), rows, c.wide()); };
  using Positions = kernel::RelativePositions<T>;
  const Positions at{c.width, c.key ? in(key, c.count()) : View<const T, 2>{}, c.query ? in(query, c.count()) : View<const T, 2>{}, index.data() + sides};
  const kernel::Padding sees{visible.data()};
  const kernel::HeadLayout layout{c.batch, c.seq, c.heads, c.heads, c.width};
  const T scale = T(1 / std::sqrt(3.0 * double(c.width)));
  Attended<T> got;
  for (auto* x : {&got.y, &got.dq, &got.dk, &got.dv}) x->assign(q.size(), T(9));
  std::vector<T> lse(std::size_t(c.tokens() * c.heads), T(9)), delta = lse, parts(std::size_t(c.batch * c.count() * c.wide()), T(9)), other = parts;
  const auto out = [&](auto& x, Index rows) { return matrix(x.data(), rows, Index(x.size()) / rows); };
  const Index n = c.tokens(), rows = c.batch * c.count();
  const kernel::Attention<T, T, kernel::Padding, Positions> attention{
      layout, scale, in(q, n), in(k, n), in(v, n), vector(mask.data(), c.heads), vector(seen.data(), c.heads), out(got.y, n), out(lse, n), sees, at};
  device.for_each_row(attention.rows(), attention);
  const auto y = got.y, sums = lse;
  const kernel::AttentionBackward<T, T, kernel::Padding, Positions> common{
      layout, scale, in(q, n), in(k, n), in(v, n), vector(mask.data(), c.heads), vector(seen.data(), c.heads), in(y, n),
      matrix(sums.data(), n, c.heads), in(dy, n), out(got.dq, n), out(got.dk, n), out(got.dv, n), out(delta, n), sees, at};
  const kernel::AttentionBackwardQueries<T, T, kernel::Padding, Positions> queries{common};
  const kernel::AttentionBackwardKeys<T, T, kernel::Padding, Positions> keys{common};
  const kernel::AttentionBackwardPositions<T, T, kernel::Padding> all{
      common, c.key ? out(parts, rows) : View<T, 2>{}, c.query ? out(other, rows) : View<T, 2>{}};
  device.for_each_row(queries.rows(), queries);
  device.for_each_row(keys.rows(), keys);
  device.for_each_row(all.rows(), all);
  const auto summed = [&](const std::vector<T>& x, std::vector<T>& to) {
    to.assign(std::size_t(c.count() * c.wide()), T(9));
    device.for_each_row(c.count(), kernel::SumSequences<T, T>{in(x, rows), c.batch, out(to, c.count())});
  };
  if (c.key) summed(parts, got.dkey);
  if (c.query) summed(other, got.dquery);
  return got;
}

Attended<double> define(const Case& c, const std::vector<double>& forward, const std::vector<double>& backward, bool pad) {
  const auto q = drawn<double>(c.tokens() * c.wide(), 1), k = drawn<double>(c.tokens() * c.wide(), 2), v = drawn<double>(c.tokens() * c.wide(), 3),
             dy = drawn<double>(c.tokens() * c.wide(), 4), key = drawn<double>(c.count() * c.wide(), 5),
             query = drawn<double>(c.count() * c.wide(), 6);
  const auto visible = visibility(c, pad);
  Attended<double> want;
  for (auto* x : {&want.y, &want.dq, &want.dk, &want.dv}) x->assign(q.size(), 0);
  for (auto* x : {&want.dkey, &want.dquery}) x->assign(key.size(), 0);
  const double scale = 1 / std::sqrt(3.0 * double(c.width));
  for (Index b = 0; b < c.batch; ++b)
    for (Index h = 0; h < c.heads; ++h)
      for (Index t = 0; t < c.seq; ++t) {
        const double m = forward[std::size_t(h)], mb = backward[std::size_t(h)];
        const auto token = [&](Index s, Index j) { return std::size_t((b * c.seq + s) * c.wide() + h * c.width + j); };
        const auto place = [&](Index s, Index j) { return std::size_t((c.buckets.of(t - s) - c.first()) * c.wide() + h * c.width + j); };
        std::vector<double> p(std::size_t(c.seq), 0), dp = p;
        double total = 0, mean = 0;
        for (Index s = 0; s < c.seq; ++s) {
          if (!visible[std::size_t(b * c.seq + s)]) continue;
          double score = 0;
          for (Index j = 0; j < c.width; ++j) {
            score += q[token(t, j)] * k[token(s, j)];
            if (c.key) score += q[token(t, j)] * key[place(s, j)];
            if (c.query) score += k[token(s, j)] * query[place(s, j)];
            dp[std::size_t(s)] += mb * dy[token(t, j)] * v[token(s, j)];
          }
          total += p[std::size_t(s)] = std::exp(scale * score);
        }
        if (total == 0) continue;
        for (std::size_t s = 0; s < p.size(); ++s) mean += (p[s] /= total) * dp[s];
        for (Index s = 0; s < c.seq; ++s)
          for (Index j = 0; j < c.width; ++j) {
            const double ps = p[std::size_t(s)], ds = scale * ps * (dp[std::size_t(s)] - mean);
            want.y[token(t, j)] += m * ps * v[token(s, j)];
            want.dv[token(s, j)] += mb * ps * dy[token(t, j)];
            want.dq[token(t, j)] += ds * (k[token(s, j)] + (c.key ? key[place(s, j)] : 0));
            want.dk[token(s, j)] += ds * (q[token(t, j)] + (c.query ? query[place(s, j)] : 0));
            want.dkey[place(s, j)] += ds * q[token(t, j)];
            want.dquery[place(s, j)] += ds * k[token(s, j)];
          }
      }
  return want;
}

template <class T>
double worst(const Case& c, const Attended<T>& got, const Attended<double>& want) {
  const auto error = [](const std::vector<T>& a, const std::vector<double>& b) {
    double size = 0, most = 0;  // of a single key nothing depends on scores
    for (double x : b) size = std::max(size, std::abs(x));
    if (size > 1e-12) return relative_error({a.begin(), a.end()}, b);
    for (T x : a) most = std::max(most, double(std::abs(x)));
    return most;
  };
  double e = std::max({error(got.y, want.y), error(got.dq, want.dq), error(got.dk, want.dk), error(got.dv, want.dv)});
  if (c.key) e = std::max(e, error(got.dkey, want.dkey));
  if (c.query) e = std::max(e, error(got.dquery, want.dquery));
  return e;
}

}  // namespace

TEST_CASE("attention with positions and its backward pass equal the definition, across tiles and blocks, with and without padding") {
  for (const Case& c : kCases)
    for (const bool pad : {false, true}) {
      CAPTURE(c.seq);
      CAPTURE(pad);
      const std::vector<double> ones(std::size_t(c.heads), 1.0);
      const auto want = define(c, ones, ones, pad);
      CHECK(worst(c, attend<Oracle<double>>(c, ones, ones, pad), want) < 1e-13);
      CHECK(worst(c, attend<Cpu<double>>(c, ones, ones, pad), want) < 1e-13);
      CHECK(worst(c, attend<Cpu<float>>(c, ones, ones, pad), want) < 3e-5);
    }
}

TEST_CASE("a masked head has no say in positions, unless backward sees through the mask") {
  const Case c{2, 70, 3, 5, {64, 8}};
  const std::vector<double> forward{1, 0, 0}, backward{1, 0, 1};
  CHECK(worst(c, attend<Cpu<double>>(c, forward, backward, true), define(c, forward, backward, true)) < 1e-13);
}

TEST_CASE("scores of any size are survived, also those of places beyond the end of a sequence") {
  const Case c{2, 33, 1, 5, {20, 6}};
  const auto got = attend<Cpu<float>>(c, {1}, {1}, true, 400);
  for (const auto* x : {&got.y, &got.dq, &got.dk, &got.dv, &got.dkey, &got.dquery})
    for (float v : *x) REQUIRE(std::isfinite(v));
}

#if defined(_OPENMP)
TEST_CASE("the bits of what is learnt of positions do not depend on the number of threads") {
  const int before = omp_get_max_threads();
  std::vector<Attended<float>> results;
  for (const int threads : {1, 3}) {
    omp_set_num_threads(threads);
    results.push_back(attend<Cpu<float>>({3, 90, 2, 8, {64, 16}}, {1, 1}, {1, 1}, true));
  }
  omp_set_num_threads(before);
  CHECK((results[0].y == results[1].y && results[0].dq == results[1].dq && results[0].dk == results[1].dk));
  CHECK((results[0].dkey == results[1].dkey && results[0].dquery == results[1].dquery));
}
#endif
