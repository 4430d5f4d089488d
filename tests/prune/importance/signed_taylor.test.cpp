// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/signed_taylor.hpp>

#include "llamas.hpp"
#include "oracle_numbers.hpp"
#include "scores.hpp"
#include "watched_memory.hpp"

using namespace espalier;
using namespace espalier::test;

#define DEVICES Oracle<double>, Cpu<double>

namespace {

/// (Σ G∘W)² or its abs from the oracle's G and W.
std::vector<double> from_oracle(Axis axis, Index width, Power power) {
  const auto& json = oracle_numbers()["parallel"];
  const auto g = numbers(json["G_full"]), w = numbers(json["W_merged"]);
  std::vector<double> sum(std::size_t((axis == Axis::rows ? 6 : 8) / width));
  for (Index i = 0; i < 6; ++i)
    for (Index j = 0; j < 8; ++j)
      sum[std::size_t((axis == Axis::rows ? i : j) / width)] += g[std::size_t(i * 8 + j)] * w[std::size_t(i * 8 + j)];
  for (double& x : sum) x = power == Power::square ? x * x : std::abs(x);
  return sum;
}

/// Signed sums of every row or column of one projection during a backward pass of a model.
template <class Model, class Projection>
std::vector<double> raw_scores(Model& model, Projection& p, Axis axis, const Batch& batch) {
  using Device = typename Model::DeviceType;
  std::vector<double> out(std::size_t(axis == Axis::rows ? p.out() : p.in()), 0.0);
  const SignedTaylorImportance importance;
  p.probe = {&importance,
             [](const void* observer, Pass<Device>& pass, const Projection& q, const Probe<Projection>& probe,
                const typename Probe<Projection>::Sight& sight) {
               static_cast<const SignedTaylorImportance*>(observer)->observe(pass, q, probe.axis, sight, probe.score);
             },
             axis, vector(out.data(), Index(out.size()))};
  model.loss(batch);
  p.probe = {};
  return out;
}

double largest(const std::vector<double>& x) {
  double top = 0;
  for (const double v : x) top = std::max(top, std::abs(v));
  return top;
}

}  // namespace

TEST_CASE_TEMPLATE("without G, from activations alone, the signed score equals that of the oracle's G and W", Device,
                   DEVICES) {
  const ParallelCase c;
  for (const Axis axis : {Axis::rows, Axis::columns})
    for (const Index width : {1, 2})
      for (const Power power : {Power::square, Power::abs}) {
        Device device;
        auto model = c.model(device, axis, width);
        const auto got =
            group_scores(model, SignedTaylorImportance{power}, Normalise::none, [&] { model.loss(c.x, c.y); });
        CHECK(relative_error(got.front(), from_oracle(axis, width, power)) <= 1e-12);
      }
}

TEST_CASE("over micro-batches the signed sums are added before they are squared") {
  const ParallelCase c;
  Oracle<double> device;
  for (const Axis axis : {Axis::rows, Axis::columns}) {
    auto model = c.model(device, axis, 1);
    const auto got = group_scores(model, SignedTaylorImportance{}, Normalise::none,
                                  [&] { model.loss(c.x, c.y), model.loss(c.x, c.y); });
    auto want = from_oracle(axis, 1, Power::square);
    for (double& x : want) x *= 4;
    CHECK(relative_error(got.front(), want) <= 1e-12);
  }
}

TEST_CASE_TEMPLATE("the signed score of a down column equals that of its up row", Device, DEVICES) {
  for (const auto& [name, config] : small_llamas()) {
    if (config.feed_forward_bias) continue;  // then W x of up is not all of its output
    const std::string where = name;
    CAPTURE(where);
    Device device;
    auto model = random_llama<Llama<Device, LowRankAdapter>>(device, config, {.rank = 2});
    const TokenBatch batch(config.vocab, {2, 5});
    auto& mlp = model.blocks()[0].mlp;
    const auto up = raw_scores(model, mlp.up_proj, Axis::rows, batch),
               down = raw_scores(model, mlp.down_proj, Axis::columns, batch);
    CHECK(largest(up) > 0);
    CHECK(relative_error(up, down) <= 1e-10);
  }
}

TEST_CASE_TEMPLATE("a norm on q and k makes their signed row sums zero, head by head", Device, DEVICES) {
  Device device;
  for (const auto& [name, config] : small_llamas()) {
    auto unscaled = config;
    unscaled.eps = 1e-30;  // the law is that of a norm without eps
    auto model = random_llama<Llama<Device, LowRankAdapter>>(device, unscaled, {.rank = 2});
    const TokenBatch batch(config.vocab, {2, 5});
    auto& attention = model.blocks()[1].self_attn;
    for (auto* p : {&attention.q_proj, &attention.k_proj}) {
      const auto rows = raw_scores(model, *p, Axis::rows, batch);
      std::vector<double> heads(rows.size() / std::size_t(config.head_dim));
      for (std::size_t i = 0; i < rows.size(); ++i) heads[i / std::size_t(config.head_dim)] += rows[i];
      const std::string where = name;
      CAPTURE(where);
      CHECK(largest(rows) > 1e-8);
      CHECK((largest(heads) <= 1e-12 * largest(rows)) == config.qk_norm);
    }
  }
}

TEST_CASE("the exact gradient of a masked channel is zero: exact scores cannot bring it back") {
  Cpu<double> device;
  const auto config = small_llamas()[1].config;
  auto model = random_llama<Llama<Cpu<double>, LowRankAdapter>>(device, config, {.rank = 2});
  auto& mask = model.blocks()[0].mlp.units;
  std::vector<std::uint8_t> alive(std::size_t(config.feed_forward), 1);
  alive[3] = alive[7] = 0;
  mask.set(device, alive);
  const TokenBatch batch(config.vocab, {2, 5});
  const auto check = [&](const auto& importance, bool zero) {
    const auto scores = group_scores(model, importance, Normalise::none, [&] { model.loss(batch); });
    for (std::size_t u = 0; u < alive.size(); ++u) CHECK((scores[1][u] == 0) == (zero && !alive[u]));
  };
  check(FullTaylorImportance{}, true);
  check(SignedTaylorImportance{}, true);
  mask.set(device, alive, /*straight_through=*/true);
  check(FullTaylorImportance{}, false);
}

TEST_CASE(
    "both exact scores see the same G: all row sums of a projection, signed, add up to what its columns add up to") {
  Cpu<double> device;
  const auto config = small_llamas()[1].config;
  auto model = random_llama<Llama<Cpu<double>, LowRankAdapter>>(device, config, {.rank = 2});
  const TokenBatch batch(config.vocab, {2, 5});
  const auto sum = [](const std::vector<double>& x) {
    double s = 0;
    for (const double v : x) s += v;
    return s;
  };
  auto& p = model.blocks()[1].mlp.up_proj;
  const auto rows = raw_scores(model, p, Axis::rows, batch), columns = raw_scores(model, p, Axis::columns, batch);
  CHECK(sum(rows) == doctest::Approx(sum(columns)).epsilon(1e-10));
  // A block adds its input to o and down in place: their rows have no y, and it says so.
  CHECK_THROWS_AS(raw_scores(model, model.blocks()[0].self_attn.o_proj, Axis::rows, batch), Error);
  CHECK_THROWS_AS(raw_scores(model, model.blocks()[0].mlp.down_proj, Axis::rows, batch), Error);
}

TEST_CASE("recomputed blocks give the same signed score") {
  const auto config = small_llamas()[1].config;
  const TokenBatch batch(config.vocab, {2, 5});
  std::vector<std::vector<std::vector<double>>> seen;
  for (const bool recompute : {false, true}) {
    Cpu<double> device;
    auto model = random_llama<Llama<Cpu<double>, LowRankAdapter>>(device, config, {.rank = 2});
    model.recompute = recompute;
    seen.push_back(group_scores(model, SignedTaylorImportance{}, Normalise::none, [&] { model.loss(batch); }));
  }
  CHECK(seen[0] == seen[1]);
}

TEST_CASE("extra memory does not grow with out x in") {
  for (const Axis axis : {Axis::rows, Axis::columns}) {
    const WatchedMemory few = watched_memory<SignedTaylorImportance>(axis, 2048), many = watched_memory<SignedTaylorImportance>(axis, 8192);  // rows
    CHECK(few.stack < 2048 * 512 * 4 / 8);
    CHECK(few.stack == many.stack);
    CHECK(few.beside == many.beside);
  }
}
