// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/movement.hpp>
#include <espalier/prune/pruner.hpp>

#include "llamas.hpp"
#include "oracle_numbers.hpp"
#include "scores.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr auto kNever = CubicSchedule{.begin = 1e6, .end = 2e6};

}  // namespace

TEST_CASE_TEMPLATE("three steps of the oracle: what has moved adds up, element by element", Device, Oracle<double>,
                   Cpu<double>) {
  const auto& json = oracle_numbers()["ema"];
  const auto elements = numbers(json["movement_score_after_3"]);
  const ParallelCase c;
  for (const Axis axis : {Axis::rows, Axis::columns})
    for (const Index width : {1, 2}) {
      Device device;
      auto model = c.model(device, axis, width);
      Pruner pruner(model, MovementImportance{}, SumMask{}, kNever);
      CHECK(pruner.options().normalise == Normalise::none);
      for (const auto& step : json["steps"]) {
        model.loss(numbers(step["x"]), numbers(step["y"]));
        pruner.step();
        for (Index i = 0; i < model.run.arena.size(); ++i)
          model.run.arena.value()[i] -= json["sgd_lr"].template get<double>() * model.run.arena.grad()[i];
        model.zero_gradients();
      }
      std::vector<double> want(std::size_t((axis == Axis::rows ? c.out : c.in) / width), 0.0);
      for (Index i = 0; i < c.out; ++i)
        for (Index j = 0; j < c.in; ++j)
          want[std::size_t((axis == Axis::rows ? i : j) / width)] += elements[std::size_t(i * c.in + j)];
      CHECK(relative_error(pruner.plan().groups[0].scores, want) <= 1e-12);
    }
}

TEST_CASE("the rate scales what is added, and EMAMask forgets what SumMask keeps") {
  const ParallelCase c;
  const auto after = [&](double rate, auto mask) {
    Oracle<double> device;
    auto model = c.model(device, Axis::rows, 1);
    Pruner pruner(model, MovementImportance{.rate = rate}, mask, kNever);
    for (int t = 0; t < 3; ++t) model.loss(c.x, c.y), pruner.step(), model.zero_gradients();
    return pruner.plan().groups[0].scores;
  };
  const auto scaled = [](std::vector<double> x, double factor) {
    for (double& v : x) v *= factor;
    return x;
  };
  const auto sum = after(1, SumMask{});
  CHECK(relative_error(after(0.5, SumMask{}), scaled(sum, 0.5)) <= 1e-14);
  CHECK(relative_error(after(1, EMAMask{.decay = 0}), scaled(sum, 1.0 / 3)) <= 1e-14);
  CHECK(relative_error(after(1, EMAMask{.decay = 0.5}), scaled(sum, (0.5 + 0.25 + 0.125) / 3)) <= 1e-14);
}

TEST_CASE("a masked channel stands still, and straight-through it goes on moving and can come back") {
  using Model = Llama<Cpu<double>, LowRankAdapter>;
  const auto config = small_llamas()[0].config;
  for (const Revival revival : {Revival::none, Revival::straight_through}) {
    Cpu<double> device;
    auto model = random_llama<Model>(device, config, {.rank = 2});
    Pruner pruner(model, MovementImportance{}, SumMask{}, LinearSchedule{.begin = 0, .end = 2},
                  PrunerOptions{.every = 2, .revival = revival});
    const TokenBatch batch(config.vocab, {2, 6});
    model.loss(batch), pruner.step();
    model.loss(batch), pruner.step();
    const auto scores = pruner.plan().groups[1].scores;
    model.loss(batch);
    const auto fresh = group_scores(model, MovementImportance{}, Normalise::none, [&] { model.loss(batch); })[1];
    const auto alive = model.blocks()[0].mlp.units.alive();
    for (std::size_t u = 0; u < alive.size(); ++u) CHECK((fresh[u] == 0) == (!alive[u] && revival == Revival::none));
    // Whatever had moved towards zero most is what left.
    for (std::size_t u = 0; u < alive.size(); ++u)
      for (std::size_t v = 0; v < alive.size(); ++v) CHECK_FALSE((!alive[u] && alive[v] && scores[u] > scores[v]));
  }
}
