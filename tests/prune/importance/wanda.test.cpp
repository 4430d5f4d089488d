// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/wanda.hpp>
#include <espalier/prune/pruner.hpp>

#include "baselines.hpp"
#include "llamas.hpp"
#include "scores.hpp"

using namespace espalier;
using namespace espalier::test;

#define DEVICES Oracle<double>, Cpu<double>

TEST_CASE_TEMPLATE("units add up the oracle's scores of their elements, by either norm", Device, DEVICES) {
  const BaselineCase c;
  const auto& json = oracle_numbers()["baselines"];
  for (const bool mean : {false, true})
    for (const Axis axis : {Axis::rows, Axis::columns})
      for (const Index width : {1, 2}) {
        Device device;
        auto model = c.model(device, axis, width);
        const auto got = group_scores(model, WandaImportance{.mean = mean}, Normalise::none, [&] { c.pass(model); });
        const auto elements = numbers(json[mean ? "wanda_official_running_mean" : "wanda"]);
        CHECK(relative_error(got.front(), c.units(elements, axis, width)) <= 1e-12);
      }
}

TEST_CASE("over micro-batches and steps it is the sum, or the running mean, over all tokens") {
  const BaselineCase c;
  const auto& json = oracle_numbers()["baselines"];
  for (const bool mean : {false, true}) {
    Oracle<double> device;
    auto model = c.model(device, Axis::rows, 1);
    const WandaImportance importance{.mean = mean};
    Scores<Single<Oracle<double>>> scores(model);
    scores.prepare_for(importance);
    auto candidates = scores.units().candidates({});
    const auto step = [&](std::initializer_list<std::pair<Index, Index>> parts) {
      scores.watch(importance);
      for (const auto& [first, count] : parts) c.pass(model, first, count);
      scores.update(importance, Latest{}, Normalise::none);
      scores.age(importance);
    };
    step({{0, 3}, {3, 4}}), step({{7, 5}});
    scores.download(candidates, [](const auto&...) {});
    scores.unwatch();
    const auto elements = numbers(json[mean ? "wanda_official_running_mean" : "wanda"]);
    CHECK(relative_error(candidates[0].scores, c.units(elements, Axis::rows, 1)) <= 1e-12);
  }
}

TEST_CASE("decay 0 is the last step alone") {
  const BaselineCase c;
  Oracle<double> device;
  const auto after = [&](double decay, std::initializer_list<std::pair<Index, Index>> steps) {
    auto model = c.model(device, Axis::columns, 1);
    const WandaImportance importance{.decay = decay};
    Scores<Single<Oracle<double>>> scores(model);
    scores.prepare_for(importance);
    for (const auto& [first, count] : steps) {
      scores.watch(importance);
      c.pass(model, first, count);
      scores.update(importance, Latest{}, Normalise::none);
      scores.age(importance);
    }
    auto candidates = scores.units().candidates({});
    scores.download(candidates, [](const auto&...) {});
    scores.unwatch();
    return candidates[0].scores;
  };
  CHECK(after(0, {{0, 6}, {6, 6}}) == after(0, {{6, 6}}));
  CHECK(after(1, {{0, 6}, {6, 6}}) != after(0, {{6, 6}}));
  CHECK(relative_error(after(0.5, {{0, 6}, {0, 6}}), after(1, {{0, 6}})) <= 1e-14);  // a mean is a mean
}

TEST_CASE_TEMPLATE("beside an adapter, over two steps of which the first counts less", Device, DEVICES) {
  const Index out = 6, in = 8, rank = 2, tokens = 5;
  SplitMix64 random(2024);
  const auto w = random.uniform(out * in), a = random.uniform(rank * in), b = random.uniform(out * rank),
             x1 = random.uniform(tokens * in), x2 = random.uniform(tokens * in);
  const std::vector<double> y(std::size_t(tokens * out), 0.0);
  for (const auto& [decay, name] : {std::pair{1.0, "1.0"}, std::pair{0.5, "0.5"}, std::pair{0.0, "0.0"}})
    for (const Axis axis : {Axis::rows, Axis::columns}) {
      Device device;
      Single<Device> model(device, out, in, false, {.rank = rank, .alpha = 4}, axis, 2);
      model.set(w, a, b, {});
      Pruner pruner(model, WandaImportance{.decay = decay}, EMAMask{.decay = 0}, CubicSchedule{.begin = 1e6, .end = 2e6},
                    PrunerOptions{.normalise = Normalise::none});
      model.loss(x1, y), pruner.step();
      model.loss(x2, y), pruner.step();
      const auto want = numbers(importance_numbers()["wanda"][name][axis == Axis::rows ? "rows" : "columns"]);
      CHECK(relative_error(pruner.plan().groups[0].scores, want) <= 1e-12);
    }
}

TEST_CASE("the weight is the merged one, and every projection of a unit counts") {
  Cpu<double> device;
  using Model = Llama<Cpu<double>, LowRankAdapter>;
  const auto config = small_llamas()[1].config;
  auto model = random_llama<Model>(device, config, {.rank = 2, .alpha = 3});
  const TokenBatch batch(config.vocab, {2, 5});
  const auto got = group_scores(model, WandaImportance{}, Normalise::none, [&] { model.loss(batch); });
  // The same from statistics that were gathered one by one, and from W0 + s B A written out.
  std::vector<double> want(std::size_t(config.feed_forward), 0.0);
  auto& mlp = model.blocks()[1].mlp;
  for (auto* p : {&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj}) {
    InputStatistics<Cpu<double>> seen(device, p->in(), InputStatistic::squares);
    p->probe = seen.probe<Model::Projection>();
    model.loss(batch);
    p->probe = {};
    for (Index i = 0; i < p->out(); ++i)
      for (Index j = 0; j < p->in(); ++j) {
        double w = 0;
        for (Index k = 0; k < 2; ++k) w += p->adapter.b.value(i, k) * p->adapter.a.value(k, j);
        w = std::abs(p->weight.view()(i, j) + 1.5 * w) * std::sqrt(seen.inputs().squares(j) / 10);
        want[std::size_t(p == &mlp.down_proj ? j : i)] += w;
      }
  }
  CHECK(relative_error(got[3], want) <= 1e-12);
}

TEST_CASE("a decay outside of 0 to 1 is refused") {
  CHECK_THROWS_WITH_AS(WandaImportance{.decay = 1.5}.check(), doctest::Contains("decay is 1.5"), Error);
}
