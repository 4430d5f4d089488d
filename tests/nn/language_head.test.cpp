// SPDX-License-Identifier: MIT
// The loss of language modelling and its gradient over several panels of logits, against the definition in full.
#include <doctest/doctest.h>
#include <cmath>
#include <espalier/nn/language_head.hpp>
#include <vector>

#include "gradients.hpp"
#if !defined(ESPALIER_TEST_ORACLE_ONLY)
#include <espalier/backend/cpu.hpp>

#include "allocations.hpp"
#define DEVICES Oracle<double>, Cpu<double>
#else
#define DEVICES Oracle<double>
#endif

using namespace espalier;
using namespace espalier::test;

namespace {

template <class T>
struct Case {
  Index tokens, hidden, vocab;
  std::vector<T> h, w, bias, dh;
  std::vector<int> targets;
  T total = 3;

  Case(Index n, Index width, Index words) : tokens(n), hidden(width), vocab(words) {
    const auto drawn = [](Index size, std::uint64_t seed) {
      std::vector<T> x(static_cast<std::size_t>(size));
      fill(x.data(), size, seed, 1.0);
      return x;
    };
    h = drawn(n * width, 1), w = drawn(words * width, 2), bias = drawn(words, 3), dh = drawn(n * width, 4);
    for (Index i = 0; i < n; ++i) targets.push_back(i % 7 == 5 ? kIgnore : int(i * 31 % words));
  }
  template <class Device>
  void run(Pass<Device>& pass, bool biased, double weight) {
    language_loss<Device>(pass, matrix<const T>(h.data(), tokens, hidden), matrix<const T>(w.data(), vocab, hidden),
                          targets.data(), &weight, &total, matrix(dh.data(), tokens, hidden),
                          biased ? vector<const T>(bias.data(), vocab) : View<const T, 1>{});
  }
};

}  // namespace

TEST_CASE_TEMPLATE("loss and gradient are those of all logits at once, whichever panel a token falls into", Device,
                   DEVICES) {
  constexpr double weight = 0.125;
  for (const bool biased : {false, true}) {
    Case<double> c(600, 5, 37);
    const Index panel = logit_rows(c.vocab, c.tokens);
    REQUIRE((c.tokens > 2 * panel && c.tokens % panel != 0));  // three at least, the last one short
    Device device;
    Workspace<Device> workspace(device);
    Pass<Device> pass(workspace, {});
    c.run(pass, biased, weight);
    double total = 3;
    std::vector<double> dh(c.dh.size(), 0.0);
    for (Index i = 0; i < c.tokens; ++i) {
      const int target = c.targets[std::size_t(i)];
      if (target == kIgnore) continue;
      std::vector<double> x(std::size_t(c.vocab), 0.0);
      double sum = 0;
      for (Index v = 0; v < c.vocab; ++v) {
        double& xv = x[std::size_t(v)];
        for (Index j = 0; j < c.hidden; ++j) xv += c.h[std::size_t(i * c.hidden + j)] * c.w[std::size_t(v * c.hidden + j)];
        if (biased) xv += c.bias[std::size_t(v)];
        sum += std::exp(xv);
      }
      total += weight * (std::log(sum) - x[std::size_t(target)]);
      for (Index v = 0; v < c.vocab; ++v)
        for (Index j = 0; j < c.hidden; ++j)
          dh[std::size_t(i * c.hidden + j)] +=
              weight * (std::exp(x[std::size_t(v)]) / sum - (v == target)) * c.w[std::size_t(v * c.hidden + j)];
    }
    CHECK(c.total == doctest::Approx(total).epsilon(1e-12));
    CHECK(relative_error(c.dh, dh) <= 1e-12);
  }
}

#if !defined(ESPALIER_TEST_ORACLE_ONLY)
TEST_CASE("with gradients too, four times the tokens take no more logits") {
  std::vector<Index> peaks;
  std::vector<long> beside;
  for (const Index tokens : {104, 416}) {
    Case<float> c(tokens, 4, 40000);
    CHECK(logit_rows(c.vocab, tokens) == 104);
    Cpu<float> device;
    Workspace<Cpu<float>> workspace(device);
    const auto go = [&] {
      Pass<Cpu<float>> pass(workspace, {});
      c.run(pass, true, 1.0f);
    };
    go(), go();  // the workspace becomes one block
    peaks.push_back(workspace.peak());
    beside.push_back(bytes_on_a_new_thread(go));
  }
  CHECK(peaks[0] >= 104 * 40000 * 4);
  CHECK(peaks[1] - peaks[0] <= 416 * 4);  // a loss a token
  CHECK(beside[0] == beside[1]);
}
#endif
