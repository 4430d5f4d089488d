// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/input_statistics.hpp>
#include <limits>
#include <map>

#include "allocations.hpp"
#include "llamas.hpp"
#include "oracle_numbers.hpp"

using namespace espalier;
using namespace espalier::test;

#define DEVICES Oracle<double>, Cpu<double>

namespace {

constexpr Index kIn = 6, kTokens = 12;

/// The oracle's inputs, made again.
std::vector<double> oracle_inputs() {
  SplitMix64 random(424242);
  random.uniform(4 * kIn);
  return random.uniform(kTokens * kIn);
}
std::vector<double> squares_of(const std::vector<double>& x, Index in) {
  std::vector<double> sums(std::size_t(in), 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) sums[i % std::size_t(in)] += x[i] * x[i];
  return sums;
}
/// Adds some tokens to statistics.
template <class Device>
void add(Device& device, InputStatistics<Device>& seen, const std::vector<double>& x) {
  using X = typename Device::Activation;
  Workspace<Device> workspace(device);
  Pass<Device> pass(workspace, {});
  const std::vector<X> numbers(x.begin(), x.end());
  seen.add(pass, matrix(numbers.data(), Index(x.size()) / seen.in(), seen.in()));
}
template <class Device>
std::vector<double> lower(const InputStatistics<Device>& seen) {
  std::vector<double> out;
  const auto p = seen.inputs().products;
  for (Index i = 0; i < p.rows(); ++i)
    for (Index j = 0; j <= i; ++j) out.push_back(p(i, j));
  return out;
}

}  // namespace

TEST_CASE_TEMPLATE("squares and products of the oracle's inputs, whole and in two passes", Device, DEVICES) {
  const auto& json = oracle_numbers()["baselines"];
  const auto x = oracle_inputs();
  REQUIRE(x == numbers(json["X"]));
  const auto h = numbers(json["H"]);
  for (const std::ptrdiff_t first : {kTokens, Index(5)}) {
    Device device;
    InputStatistics<Device> squares(device, kIn, InputStatistic::squares), products(device, kIn, InputStatistic::products);
    for (auto* seen : {&squares, &products}) {
      add(device, *seen, {x.begin(), x.begin() + first * kIn});
      if (first < kTokens) add(device, *seen, {x.begin() + first * kIn, x.end()});
      CHECK(seen->inputs().tokens(0) == double(kTokens));
    }
    CHECK(relative_error(as_doubles(squares.inputs().squares), squares_of(x, kIn)) <= 1e-14);
    auto got = as_doubles(products.inputs().products);
    for (double& v : got) v *= 2.0 / double(kTokens);
    CHECK(relative_error(got, h) <= 1e-14);
  }
}

TEST_CASE("what was seen before counts less from step to step, and n with it") {
  Oracle<double> device;
  InputStatistics<Oracle<double>> seen(device, 2, InputStatistic::squares);
  add(device, seen, {1, 2}), add(device, seen, {3, 0});
  CHECK(as_doubles(seen.inputs().squares) == std::vector<double>{10, 4});
  seen.age(device, 0.5);
  add(device, seen, {1, 1});
  CHECK(as_doubles(seen.inputs().squares) == std::vector<double>{6, 3});
  CHECK(seen.inputs().tokens(0) == 2);
  seen.age(device, 1);
  CHECK(as_doubles(seen.inputs().squares) == std::vector<double>{6, 3});
  seen.age(device, 0);
  CHECK(as_doubles(seen.inputs().squares) == std::vector<double>{0, 0});
  CHECK(seen.inputs().tokens(0) == 0);
}

TEST_CASE_TEMPLATE("a token whose input is not finite is left out and not counted", Device, DEVICES) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), huge = 1e200;
  for (const auto kind : {InputStatistic::squares, InputStatistic::products}) {
    Device device;
    InputStatistics<Device> seen(device, 2, kind);
    add(device, seen, {1, 2, nan, 0, 3, 4, 1, huge});
    CHECK(seen.inputs().tokens(0) == 2);
    if (kind == InputStatistic::squares) CHECK(as_doubles(seen.inputs().squares) == std::vector<double>{10, 20});
    else CHECK(as_doubles(seen.inputs().products) == std::vector<double>{10, 14, 14, 20});
  }
}

TEST_CASE("columns that stay keep their numbers") {
  Oracle<double> device;
  InputStatistics<Oracle<double>> squares(device, 3, InputStatistic::squares), products(device, 3, InputStatistic::products);
  for (auto* seen : {&squares, &products}) add(device, *seen, {1, 2, 3, 4, 5, 6}), seen->keep(device, {0, 2});
  CHECK(as_doubles(squares.inputs().squares) == std::vector<double>{17, 45});
  CHECK(as_doubles(products.inputs().products) == std::vector<double>{17, 27, 27, 45});
  CHECK(products.in() == 2);
}

TEST_CASE("written and read back they go on with the same numbers; those of another width are refused") {
  const auto x = oracle_inputs();
  for (const auto kind : {InputStatistic::squares, InputStatistic::products}) {
    Cpu<float> device;
    InputStatistics<Cpu<float>> whole(device, kIn, kind), again(device, kIn, kind);
    add(device, whole, x);
    std::vector<double> saved;
    whole.visit_state(device, "inputs", [&](const std::string&, std::vector<double>& n) { saved = n; });
    CHECK(saved.size() == (kind == InputStatistic::squares ? 7 : 22));
    again.visit_state(device, "inputs", [&](const std::string&, std::vector<double>& n) { n = saved; });
    for (auto* seen : {&whole, &again}) seen->age(device, 0.75), add(device, *seen, x);
    if (kind == InputStatistic::squares)
      CHECK(as_doubles(again.inputs().squares) == as_doubles(whole.inputs().squares));
    else CHECK(lower(again) == lower(whole));
    CHECK(again.inputs().tokens(0) == whole.inputs().tokens(0));
    CHECK_THROWS_WITH_AS(
        again.visit_state(device, "inputs of x", [](const std::string&, std::vector<double>& n) { n.pop_back(); }),
        doctest::Contains("inputs of x has"), Error);
  }
}

TEST_CASE("where columns have left, the state is that of all columns, zero where gone") {
  for (const auto kind : {InputStatistic::squares, InputStatistic::products}) {
    Oracle<double> device;
    InputStatistics<Oracle<double>> seen(device, 2, kind), again(device, 2, kind);
    add(device, seen, {1, 3, 4, 6});
    std::vector<double> saved;
    const std::vector<int> places{0, 2};
    seen.visit_state(device, "x", [&](const std::string&, std::vector<double>& n) { saved = n; }, places, 4);
    if (kind == InputStatistic::squares) CHECK(saved == std::vector<double>{2, 17, 0, 45, 0});
    else CHECK(saved == std::vector<double>{2, 17, 0, 0, 27, 0, 45, 0, 0, 0, 0});
    again.visit_state(device, "x", [&](const std::string&, std::vector<double>& n) { n = saved; }, places, 4);
    if (kind == InputStatistic::squares) CHECK(as_doubles(again.inputs().squares) == as_doubles(seen.inputs().squares));
    else CHECK(as_doubles(again.inputs().products) == as_doubles(seen.inputs().products));
  }
}

TEST_CASE("a model's backward pass feeds them, micro-batch by micro-batch, whether blocks are recomputed or not") {
  using Model = Llama<Cpu<double>, LowRankAdapter>;
  std::vector<std::vector<double>> seen_squares;
  for (const bool recompute : {false, true}) {
    Cpu<double> device;
    auto model = random_llama<Model>(device, small_llamas()[1].config, {.rank = 2});
    model.recompute = recompute;
    auto& p = model.blocks()[0].mlp.down_proj;
    InputStatistics<Cpu<double>> squares(device, p.in(), InputStatistic::squares),
        products(device, p.in(), InputStatistic::products);
    for (auto* seen : {&squares, &products}) {
      p.probe = seen->probe<Model::Projection>();
      for (const unsigned seed : {1u, 2u}) {
        model.loss(TokenBatch(model.config.vocab, {2, 5}, seed));
        model.evaluate(TokenBatch(model.config.vocab, {2, 5}, 3));  // an evaluation is nobody's business
      }
      CHECK(seen->inputs().tokens(0) == 20);
    }
    p.probe = {};
    const auto sums = as_doubles(squares.inputs().squares);
    std::vector<double> diagonal;
    for (Index j = 0; j < p.in(); ++j) diagonal.push_back(products.inputs().products(j, j));
    CHECK(relative_error(sums, diagonal) <= 1e-14);
    seen_squares.push_back(sums);
  }
  CHECK(seen_squares[0] == seen_squares[1]);
}

TEST_CASE("gathering allocates nothing after its first pass") {
  using Model = Llama<Cpu<float>, LowRankAdapter>;
  Cpu<float> device;
  auto model = random_llama<Model>(device, small_llamas()[1].config, {.rank = 2});
  auto& p = model.blocks()[1].self_attn.o_proj;
  InputStatistics<Cpu<float>> seen(device, p.in(), InputStatistic::products);
  p.probe = seen.probe<Model::Projection>();
  const TokenBatch batch(model.config.vocab, {2, 6});
  for (int t = 0; t < 3; ++t) model.loss(batch), seen.age(device, 0.9);
  long least = 1 << 20;
  for (int window = 0; window < 10 && least > 0; ++window) {
    const long before = allocations;
    for (int t = 0; t < 3; ++t) model.loss(batch), seen.age(device, 0.9);
    least = std::min<long>(least, allocations - before);
  }
  CHECK(least == 0);
}
