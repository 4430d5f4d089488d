// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <complex>
#include <espalier/backend/cpu.hpp>
#include <espalier/kernel/attention_backward.hpp>
#include <vector>

#include "gradients.hpp"
#if defined(_OPENMP)
#include <omp.h>
#endif

using namespace espalier;
using namespace espalier::test;

namespace {

struct Heads {
  Index batch, seq, heads, groups, width;
  Index tokens() const { return batch * seq; }
  Index queries() const { return heads * width; }
  Index keys() const { return groups * width; }
};
// Around the sizes of tiles (32) and blocks (64), and with every kind of sharing.
const Heads kCases[] = {{1, 1, 1, 1, 1},  {2, 5, 2, 2, 3},   {1, 31, 2, 1, 4},  {1, 32, 4, 2, 8},
                        {1, 33, 1, 1, 5}, {2, 65, 2, 2, 16}, {1, 100, 4, 1, 6}, {1, 150, 2, 2, 33}};

/// Everything an attention layer computes.
template <class T>
struct Attended {
  std::vector<T> y, lse, dq, dk, dv, delta;
};

template <class Device, class Sees = kernel::Causal>
Attended<typename Device::Activation> attend(const Heads& c, const std::vector<double>& forward,
                                             const std::vector<double>& backward, double spike = 0, Sees sees = {}) {
  using T = typename Device::Activation;
  Device device;
  const auto drawn = [&](Index n, std::uint64_t seed) {
    std::vector<T> x(static_cast<std::size_t>(n));
    fill(x.data(), n, seed, 1.0);
    return x;
  };
  auto q = drawn(c.tokens() * c.queries(), 1), k = drawn(c.tokens() * c.keys(), 2), v = drawn(c.tokens() * c.keys(), 3),
       dy = drawn(c.tokens() * c.queries(), 4);
  if (spike != 0)
    for (Index j = 0; j < c.width; ++j) k[std::size_t((c.seq / 2) * c.keys() + j)] *= T(float(spike));
  std::vector<T> mask(forward.begin(), forward.end()), seen(backward.begin(), backward.end());
  Attended<T> out;
  for (auto* x : {&out.y, &out.dq}) x->assign(q.size(), T(9));
  for (auto* x : {&out.dk, &out.dv}) x->assign(k.size(), T(9));
  for (auto* x : {&out.lse, &out.delta}) x->assign(static_cast<std::size_t>(c.tokens() * c.heads), T(9));
  const kernel::HeadLayout layout{c.batch, c.seq, c.heads, c.groups, c.width};
  const T scale = T(1 / std::sqrt(double(c.width)));
  const auto rows = [&](auto& x, Index cols) { return matrix(x.data(), c.tokens(), cols); };
  const auto in = [&](const auto& x, Index cols) { return matrix(x.data(), c.tokens(), cols); };
  const auto cq = q, ck = k, cv = v, cdy = dy, cmask = mask, cseen = seen;
  const kernel::Attention<T, T, Sees> attention{layout,
                                                scale,
                                                in(cq, c.queries()),
                                                in(ck, c.keys()),
                                                in(cv, c.keys()),
                                                vector(cmask.data(), c.groups),
                                                vector(cseen.data(), c.groups),
                                                rows(out.y, c.queries()),
                                                rows(out.lse, c.heads),
                                                sees};
  device.for_each_row(attention.rows(), attention);
  const auto y = out.y, lse = out.lse;
  const kernel::AttentionBackward<T, T, Sees> common{layout,
                                                     scale,
                                                     in(cq, c.queries()),
                                                     in(ck, c.keys()),
                                                     in(cv, c.keys()),
                                                     vector(cmask.data(), c.groups),
                                                     vector(cseen.data(), c.groups),
                                                     in(y, c.queries()),
                                                     in(lse, c.heads),
                                                     in(cdy, c.queries()),
                                                     rows(out.dq, c.queries()),
                                                     rows(out.dk, c.keys()),
                                                     rows(out.dv, c.keys()),
                                                     rows(out.delta, c.heads),
                                                     sees};
  const kernel::AttentionBackwardQueries<T, T, Sees> queries{common};
  const kernel::AttentionBackwardKeys<T, T, Sees> keys{common};
  device.for_each_row(queries.rows(), queries);
  device.for_each_row(keys.rows(), keys);
  return out;
}

/// The definition, a row of the softmax at a time: forward, and its derivative as a textbook has it.
/// visible: which keys are no padding, whoever looks; none given: a query sees the past. position: in documents, which a
/// query does not look beyond.
Attended<double> define(const Heads& c, const std::vector<double>& forward, const std::vector<double>& backward,
                        const std::vector<int>& visible = {}, const kernel::AttentionDropout& drop = {},
                        const std::vector<int>& position = {}) {
  const auto kept = [&](Index b, Index h, Index t, Index s) {  // 0, or what is left is worth more
    if (drop.q == 0) return 1.0;
    const RandomStream stream{drop.state->seed, Purpose::dropout, drop.which, drop.state->step};
    const auto at = (((std::uint64_t(drop.state->micro) << 20) + std::uint64_t(b)) * std::uint64_t(drop.full * drop.each) +
                     std::uint64_t(drop.origin[h / drop.each] * drop.each + h % drop.each)) * std::uint64_t(c.seq * c.seq) + std::uint64_t(t * c.seq + s);
    return double(stream.bits(at)) >= drop.q * 0x1p32 ? double(float(1 / (1 - drop.q))) : 0.0;
  };
  const auto drawn = [&](Index n, std::uint64_t seed) {
    std::vector<double> x(static_cast<std::size_t>(n));
    fill(x.data(), n, seed, 1.0);
    return x;
  };
  const auto q = drawn(c.tokens() * c.queries(), 1), k = drawn(c.tokens() * c.keys(), 2),
             v = drawn(c.tokens() * c.keys(), 3), dy = drawn(c.tokens() * c.queries(), 4);
  Attended<double> out;
  out.y.assign(q.size(), 0), out.dq.assign(q.size(), 0), out.dk.assign(k.size(), 0), out.dv.assign(k.size(), 0);
  out.lse.assign(static_cast<std::size_t>(c.tokens() * c.heads), 0);
  const double scale = 1 / std::sqrt(double(c.width));
  for (Index b = 0; b < c.batch; ++b)
    for (Index h = 0; h < c.heads; ++h)
      for (Index t = 0; t < c.seq; ++t) {
        const Index g = h / (c.heads / c.groups);
        const double m = forward[std::size_t(g)], mb = backward[std::size_t(g)];
        const auto at_q = [&](Index j) { return std::size_t((b * c.seq + t) * c.queries() + h * c.width + j); };
        const auto at_k = [&](Index s, Index j) { return std::size_t((b * c.seq + s) * c.keys() + g * c.width + j); };
        const Index document = position.empty() ? 0 : t - position[std::size_t(b * c.seq + t)];
        const auto sees = [&](Index s) {
          return visible.empty() ? document <= s && s <= t : visible[std::size_t(b * c.seq + s)] != 0;
        };
        std::vector<double> p(static_cast<std::size_t>(c.seq), 0), dp(p.size(), 0);
        double total = 0, mean = 0;
        for (Index s = 0; s < c.seq; ++s) {
          if (!sees(s)) continue;
          double dot = 0;
          for (Index j = 0; j < c.width; ++j) {
            dot += q[at_q(j)] * k[at_k(s, j)];
            dp[std::size_t(s)] += kept(b, h, t, s) * mb * dy[at_q(j)] * v[at_k(s, j)];
          }
          total += p[std::size_t(s)] = std::exp(scale * dot);
        }
        if (total == 0) continue;  // it sees nothing: zeros
        for (double& x : p) x /= total;
        for (std::size_t s = 0; s < p.size(); ++s) mean += p[s] * dp[s];
        for (Index s = 0; s < c.seq; ++s)
          for (Index j = 0; j < c.width; ++j) {
            const double ps = p[std::size_t(s)], ds = ps * (dp[std::size_t(s)] - mean), left = ps * kept(b, h, t, s);
            out.y[at_q(j)] += m * left * v[at_k(s, j)];
            out.dv[at_k(s, j)] += mb * left * dy[at_q(j)];
            out.dq[at_q(j)] += scale * ds * k[at_k(s, j)];
            out.dk[at_k(s, j)] += scale * ds * q[at_q(j)];
          }
        if (m != 0 || mb != 0) out.lse[std::size_t((b * c.seq + t) * c.heads + h)] = std::log(total);
      }
  return out;
}

template <class T>
std::vector<double> widened(const std::vector<T>& x) {
  return {x.begin(), x.end()};
}
template <class T>
double worst(const Attended<T>& got, const Attended<double>& expected) {
  return std::max({relative_error(widened(got.y), expected.y), relative_error(widened(got.lse), expected.lse),
                   relative_error(widened(got.dq), expected.dq), relative_error(widened(got.dk), expected.dk),
                   relative_error(widened(got.dv), expected.dv)});
}
std::vector<double> ones(const Heads& c) { return std::vector<double>(std::size_t(c.groups), 1.0); }

}  // namespace

TEST_CASE(
    "attention and its backward pass equal the definition, across tiles and blocks and for every kind of sharing") {
  for (const Heads& c : kCases) {
    CAPTURE(c.seq);
    CAPTURE(c.heads);
    const auto expected = define(c, ones(c), ones(c));
    CHECK(worst(attend<Oracle<double>>(c, ones(c), ones(c)), expected) < 1e-13);
    CHECK(worst(attend<Cpu<double>>(c, ones(c), ones(c)), expected) < 1e-13);
    CHECK(worst(attend<Cpu<float>>(c, ones(c), ones(c)), expected) < 2e-5);
  }
}

TEST_CASE(
    "a masked group writes zeros; where backward sees through the mask, its gradient is that of the unmasked one") {
  const Heads c{2, 70, 4, 2, 6};
  for (const auto& [forward, backward] :
       {std::pair<std::vector<double>, std::vector<double>>{{1, 0}, {1, 0}}, {{0, 1}, {1, 1}}, {{0, 0}, {0, 0}}}) {
    const auto expected = define(c, forward, backward);
    CHECK(worst(attend<Cpu<double>>(c, forward, backward), expected) < 1e-13);
    CHECK(worst(attend<Oracle<double>>(c, forward, backward), expected) < 1e-13);
  }
}

TEST_CASE("in both directions a query sees every key that is no padding, whatever the pattern; nothing at all gives zeros") {
  for (const Heads& c : kCases)
    for (const int pattern : {0, 1, 2, 3}) {  // none, padded behind, padded before, holes; then a sequence of padding
      CAPTURE(c.seq);
      CAPTURE(pattern);
      std::vector<int> visible(std::size_t(c.tokens()), 1);
      for (Index t = 0; t < c.tokens(); ++t) {
        const Index s = t % c.seq;
        if (pattern == 1) visible[std::size_t(t)] = s < (2 * c.seq + 2) / 3;
        if (pattern == 2) visible[std::size_t(t)] = s >= c.seq / 2;
        if (pattern == 3) visible[std::size_t(t)] = s % 3 == 1 && !(s >= 32 && s < 96) && t < c.seq;
      }
      const kernel::Padding sees{visible.data()};
      const auto expected = define(c, ones(c), ones(c), visible);
      if (c.seq == 1 && pattern == 3) {  // nobody is seen
        const auto got = attend<Cpu<float>>(c, ones(c), ones(c), 0, sees);
        for (const auto* x : {&got.y, &got.dq, &got.dk, &got.dv, &got.lse})
          for (float v : *x) REQUIRE(v == 0.0f);
        continue;
      }
      CHECK(worst(attend<Oracle<double>>(c, ones(c), ones(c), 0, sees), expected) < 1e-13);
      CHECK(worst(attend<Cpu<double>>(c, ones(c), ones(c), 0, sees), expected) < 1e-13);
      CHECK(worst(attend<Cpu<float>>(c, ones(c), ones(c), 0, sees), expected) < 2e-5);
      if (pattern == 0) {  // a mask of ones and no mask have the same bits
        const auto a = attend<Cpu<float>>(c, ones(c), ones(c), 0, sees),
                   b = attend<Cpu<float>>(c, ones(c), ones(c), 0, kernel::Padding{});
        CHECK((a.y == b.y && a.dq == b.dq && a.dk == b.dk && a.dv == b.dv));
      }
      if (pattern == 3 && c.groups > 1) {
        std::vector<double> forward = ones(c), backward = ones(c);
        forward[0] = 0, forward[1] = 0, backward[1] = 0;
        CHECK(worst(attend<Cpu<double>>(c, forward, backward, 0, sees), define(c, forward, backward, visible)) < 1e-13);
      }
    }
}

namespace {

/// Positions in documents of these lengths, again and again through every sequence.
std::vector<int> positions_of(const Heads& c, const std::vector<Index>& lengths) {
  std::vector<int> position;
  for (Index b = 0; b < c.batch; ++b)
    for (Index t = 0, left = 0, at = 0, number = b; t < c.seq; ++t, --left, ++at) {
      if (left == 0) left = lengths[std::size_t(number++) % lengths.size()], at = 0;
      position.push_back(int(at));
    }
  return position;
}
// Documents of one token, about a tile, about a block, beyond them, and all sorts side by side.
const std::vector<Index> kDocuments[] = {{1}, {2, 1, 3}, {31, 33}, {32}, {64, 1, 7}, {70, 3, 40}, {5, 90, 1, 1, 12}, {1000}};

}  // namespace

TEST_CASE("of several documents in a sequence a query sees the past of its own, wherever tiles and blocks end") {
  for (const Heads& c : kCases)
    for (const auto& lengths : kDocuments) {
      CAPTURE(c.seq);
      CAPTURE(lengths.front());
      const auto position = positions_of(c, lengths);
      const kernel::Causal sees{position.data()};
      const auto expected = define(c, ones(c), ones(c), {}, {}, position);
      // Each document of one token: nothing depends on queries and keys, and of zero there is no relative error.
      const bool alone = lengths.front() == 1 && lengths.size() == 1;
      const auto off = [&](const auto& got) {
        const double values = std::max(relative_error(widened(got.y), expected.y), relative_error(widened(got.dv), expected.dv));
        return alone ? values : std::max(values, worst(got, expected));
      };
      CHECK(off(attend<Oracle<double>>(c, ones(c), ones(c), 0, sees)) < 1e-13);
      CHECK(off(attend<Cpu<double>>(c, ones(c), ones(c), 0, sees)) < 1e-13);
      CHECK(off(attend<Cpu<float>>(c, ones(c), ones(c), 0, sees)) < 2e-5);
      if (lengths.front() == 1000) {  // a document that is the sequence has the bits of no documents at all
        const auto a = attend<Cpu<float>>(c, ones(c), ones(c), 0, sees), b = attend<Cpu<float>>(c, ones(c), ones(c));
        CHECK((a.y == b.y && a.lse == b.lse && a.dq == b.dq && a.dk == b.dk && a.dv == b.dv));
      }
      if (c.groups > 1 && !alone) {
        std::vector<double> forward = ones(c), backward = ones(c);
        forward[0] = 0, forward[1] = 0, backward[1] = 0;
        CHECK(worst(attend<Cpu<double>>(c, forward, backward, 0, sees), define(c, forward, backward, {}, {}, position)) < 1e-13);
      }
    }
}

TEST_CASE("another document's scores, of any size, leave no trace") {
  const Heads c{1, 150, 2, 2, 16};
  for (const double spike : {1e4, -1e4, 1e30}) {  // of the key at 75, which softmax must not take for a maximum elsewhere
    std::vector<int> position = positions_of(c, {1000});
    for (Index t = 0; t < c.seq; ++t) position[std::size_t(t)] = int(t < 75 ? t : t < 77 ? t - 75 : t - 77);
    const kernel::Causal sees{position.data()};
    const auto got = attend<Cpu<float>>(c, ones(c), ones(c), spike, sees), calm = attend<Cpu<float>>(c, ones(c), ones(c), 0, sees);
    for (Index j = 0; j < c.queries(); ++j)  // the query at 75 sees that key alone, whatever the score is
      CHECK(got.y[std::size_t(75 * c.queries() + j)] == calm.y[std::size_t(75 * c.queries() + j)]);
    const auto elsewhere = [&](const std::vector<float>& x) {  // without the rows of the document that has the key
      const auto width = std::ptrdiff_t(x.size()) / c.seq;
      std::vector<float> rest(x.begin(), x.begin() + 75 * width);
      rest.insert(rest.end(), x.begin() + 77 * width, x.end());
      return rest;
    };
    CHECK(elsewhere(got.y) == elsewhere(calm.y));
    CHECK(elsewhere(got.lse) == elsewhere(calm.lse));
    CHECK(elsewhere(got.dq) == elsewhere(calm.dq));
    CHECK(elsewhere(got.dk) == elsewhere(calm.dk));
    CHECK(elsewhere(got.dv) == elsewhere(calm.dv));
  }
}

TEST_CASE("dropout of probabilities is drawn by place, of the uncompacted model, and again in backward") {
  const Heads c{2, 70, 2, 2, 5};
  std::vector<int> visible(std::size_t(c.tokens()), 1);
  visible[3] = visible[69] = visible[70] = 0;
  const StepState state{.seed = 11, .step = 3, .micro = 2};
  const std::vector<int> origin{1, 4};  // heads 0, 2 and 3 have left
  const kernel::Padding sees{visible.data(), {.q = 0.3, .which = 9, .state = &state, .origin = origin.data(), .full = 5}};
  const auto expected = define(c, ones(c), ones(c), visible, sees.dropout);
  CHECK(worst(attend<Cpu<double>>(c, ones(c), ones(c), 0, sees), expected) < 1e-13);
  CHECK(worst(attend<Oracle<double>>(c, ones(c), ones(c), 0, sees), expected) < 1e-13);
  CHECK(relative_error(expected.y, define(c, ones(c), ones(c), visible).y) > 0.1);
  const std::vector<double> forward{0, 1}, backward{1, 1};
  CHECK(worst(attend<Cpu<double>>(c, forward, backward, 0, sees), define(c, forward, backward, visible, sees.dropout)) < 1e-13);

  // Queries that leave with the key that they share.
  const Heads grouped{2, 70, 6, 2, 5};
  const kernel::Causal past{nullptr, {.q = 0.3, .which = 9, .state = &state, .origin = origin.data(), .full = 5, .each = 3}};
  const auto shared = define(grouped, ones(grouped), ones(grouped), {}, past.dropout);
  CHECK(worst(attend<Cpu<double>>(grouped, ones(grouped), ones(grouped), 0, past), shared) < 1e-13);
  CHECK(worst(attend<Oracle<double>>(grouped, ones(grouped), ones(grouped), 0, past), shared) < 1e-13);

  const auto position = positions_of(grouped, {5, 40, 1, 12});
  const kernel::Causal own{position.data(), past.dropout};
  CHECK(worst(attend<Cpu<double>>(grouped, ones(grouped), ones(grouped), 0, own),
              define(grouped, ones(grouped), ones(grouped), {}, past.dropout, position)) < 1e-13);
}

TEST_CASE("scores of any size are survived: softmax subtracts its maximum, wherever it is met") {
  for (const double spike : {300.0, -300.0}) {
    std::vector<int> visible(150, 1);
    visible[75] = 0;  // the very key
    const auto hidden = attend<Cpu<float>>({1, 150, 2, 2, 16}, {1, 1}, {1, 1}, spike, kernel::Padding{visible.data()});
    for (const auto* x : {&hidden.y, &hidden.dq, &hidden.dk, &hidden.dv, &hidden.lse})
      for (float v : *x) REQUIRE(std::isfinite(v));
    const auto got = attend<Cpu<float>>({1, 150, 2, 2, 16}, {1, 1}, {1, 1}, spike);
    for (const auto* x : {&got.y, &got.dq, &got.dk, &got.dv, &got.lse})
      for (float v : *x) REQUIRE(std::isfinite(v));
  }
}

TEST_CASE("attention runs in the complex field, where a step into the imaginary plane is a derivative") {
  const Heads c{1, 70, 2, 1, 3};
  const auto got = attend<Oracle<std::complex<double>>>(c, ones(c), ones(c));
  const auto expected = define(c, ones(c), ones(c));
  std::vector<double> y;
  for (const auto& v : got.y) y.push_back(v.real());
  CHECK(relative_error(y, expected.y) < 1e-13);
}

#if defined(_OPENMP)
TEST_CASE("the bits of attention do not depend on the number of threads") {
  const Heads c{3, 90, 4, 2, 24};
  const int before = omp_get_max_threads();
  const auto position = positions_of(c, {5, 40, 1, 12});
  for (const kernel::Causal& sees : {kernel::Causal{}, kernel::Causal{position.data()}}) {
    std::vector<Attended<float>> results;
    for (const int threads : {1, 2, 3}) {
      omp_set_num_threads(threads);
      results.push_back(attend<Cpu<float>>(c, {1, 1}, {1, 1}, 0, sees));
    }
    omp_set_num_threads(before);
    for (const auto& r : results) {
      CHECK(r.y == results[0].y);
      CHECK(r.dq == results[0].dq);
      CHECK(r.dk == results[0].dk);
      CHECK(r.dv == results[0].dv);
    }
  }
}
#endif
