// SPDX-License-Identifier: MIT
// No test looks at a real clock: time is a model of it.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/backend/meta.hpp>
#include <espalier/model/llama.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/latency.hpp>
#include <espalier/prune/pruner.hpp>
#include <random>

using namespace espalier;
using Shapes = Llama<Meta<float>, Frozen>;

namespace {

const LlamaConfig kModel{.vocab = 100, .hidden = 64, .layers = 4, .heads = 8, .groups = 4, .head_dim = 8, .feed_forward = 256};

/// A machine on which a forward run takes its time: some for every layer, some for every multiplication, more where a
/// width is no multiple of 16, and now and then an interruption.
struct Machine {
  double now = 0, noise = 0;
  std::mt19937 dice{7};
  int runs = 0;

  void forward(Shapes& model) {
    ++runs;
    double seconds = 1e-4;
    for_each_projection(model, [&](const std::string&, auto& p) {
      seconds += 1e-9 * double(p.weight.size()) * (p.in() % 16 == 0 && p.out() % 16 == 0 ? 1 : 1.3) + 1e-5;
    });
    if (noise > 0) seconds *= 1 + noise * (double(dice() % 1000) / 1000 - 0.5) + (dice() % 8 == 0 ? 3 : 0);
    now += seconds;
  }
  double time(Shapes& model, const LatencyOptions& o = {}) {
    return median_seconds([&] { forward(model); }, [&] { return now; }, o);
  }
};

PrunerOptions with(double macs) {
  PrunerOptions o{.every = 1, .uniform = true};
  o.target.budget = MacBudget{}, o.target.left = macs;
  return o;
}
/// Really cut to shape.
void prune(Shapes& model, double macs) {
  {
    Pruner pruner(model, RandomImportance{}, EMAMask{.decay = 0}, LinearSchedule{.end = 1}, with(macs));
    pruner.step();
  }
  compact(model);
}
PruneReport dense() {
  Meta<float> device;
  Shapes model(device, kModel);
  return Pruner(model, RandomImportance{}, EMAMask{}, LinearSchedule{.end = 1}, with(1e5)).report();
}
LatencyFit fit(Machine& machine, double seconds, const LatencyOptions& o = {}) {
  const PruneReport range = dense();
  return fit_latency(seconds, range.least, range.dense, [&](double macs) {
    Meta<float> device;
    Shapes model(device, kModel);
    prune(model, macs);
    return machine.time(model, o);
  }, o);
}

}  // namespace

TEST_CASE("a latency is reached within 5 % by a model that is really cut, on a machine with noise") {
  Machine machine{.noise = 0.02};
  const auto ends = fit(machine, 4.2e-4);
  for (const double share : {0.2, 0.5, 0.8, 1.0}) {
    CAPTURE(share);
    const double seconds = ends.least + share * (ends.dense - ends.least);
    machine.runs = 0;
    const LatencyFit found = fit(machine, seconds);
    CHECK(std::abs(found.seconds - seconds) <= 0.05 * seconds);
    CHECK(machine.runs == found.measured * 24);
    Meta<float> device;
    Shapes model(device, kModel);
    prune(model, found.left);
    CHECK(std::abs(machine.time(model) - seconds) <= 0.05 * seconds);
    CHECK(std::abs(MacBudget{}.count(model) - found.left) <= dense().smallest_step);
  }
}

TEST_CASE("a latency that no model has is refused, with what was measured") {
  Machine machine;
  CHECK_THROWS_WITH_AS(fit(machine, 1e-4), doctest::Contains("0.1 ms cannot be reached: the dense model takes"), Error);
  CHECK_THROWS_WITH_AS(fit(machine, 1.0), doctest::Contains("choose a target between"), Error);
  CHECK_THROWS_WITH_AS(fit(machine, 4e-4, {.runs = 5}), doctest::Contains("at least 20"), Error);
  CHECK_THROWS_WITH_AS(fit(machine, 0), doctest::Contains("more than 0"), Error);
}

TEST_CASE("a machine whose latency jumps over the target is told, not believed") {
  CHECK_THROWS_WITH_AS(fit_latency(2.0, 0, 100, [](double left) { return left < 50 ? 1.0 : 4.0; }),
                       doctest::Contains("no model within 5 % of 2000 ms among 24 that were measured"), Error);
}

TEST_CASE("the median is of the runs after the warm-up") {
  double now = 0;
  int run = 0;
  const double median = median_seconds([&] { now += run++ < 3 ? 100 : run % 2 == 0 ? 1 : 2; }, [&] { return now; }, {.runs = 20});
  CHECK(median == 1.5);
  CHECK(run == 23);
}
