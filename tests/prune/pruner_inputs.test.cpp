// SPDX-License-Identifier: MIT
// Whole runs by scores that look at inputs, and by movement: the laws of pruner.test.cpp.
#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/movement.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/importance/wanda.hpp>
#include <espalier/prune/pruner.hpp>
#include <map>

#include "allocations.hpp"
#include "llamas.hpp"
#include "threads.hpp"

using namespace espalier;
using namespace espalier::test;
using Bits = std::vector<std::uint8_t>;

namespace {

template <class Model>
std::vector<Bits> bits(Model& model) {
  std::vector<Bits> out;
  model.groups([&](auto group) { out.push_back(group.mask->alive()); });
  return out;
}
/// One step of training without an optimizer: weights move a little along the gradients.
template <class Model, class P>
double train(Model& model, P& pruner, std::uint64_t seed) {
  model.loss(TokenBatch(model.config.vocab, {2, 6}, seed));
  const double share = pruner.step();
  for (Index i = 0; i < model.run.arena.size(); ++i) {
    model.run.arena.value()[i] -= typename Model::A(0.01) * model.run.arena.grad()[i];
    model.run.arena.grad()[i] = 0;
  }
  return share;
}
/// All numbers of a model that a run may change, weights included.
template <class Model>
std::vector<double> everything(Model& model) {
  std::vector<double> out(model.run.arena.value(), model.run.arena.value() + model.run.arena.size());
  for_each_tensor(model, [&](const std::string&, auto& t) {
    out.insert(out.end(), t.view().data, t.view().data + t.size());
  });
  return out;
}
using State = std::map<std::string, std::vector<double>>;

/// check(importance, mask, options) for each of them.
template <class F>
void for_each_criterion(F&& check) {
  check(WandaImportance{}, EMAMask{}, PrunerOptions{.every = 4});
  check(WandaImportance{.decay = 0.5}, EMAMask{.decay = 0}, PrunerOptions{.every = 3, .score_every = 2});
  check(MovementImportance{}, SumMask{}, PrunerOptions{.every = 4});
  check(OBSImportance{.decay = 0.9}, EMAMask{.decay = 0}, PrunerOptions{.every = 4});
  check(OBSImportance{.update = true}, EMAMask{.decay = 0}, PrunerOptions{.every = 4});
}

}  // namespace

TEST_CASE("a resumed pruner goes on bit for bit, weights that made up for units included") {
  using Model = Llama<Cpu<float>, LowRankAdapter>;
  for_each_criterion([](auto importance, auto mask, const PrunerOptions& options) {
    const auto schedule = CubicSchedule{.begin = 2, .end = 17};
    Cpu<float> device;
    auto whole = random_llama<Model>(device, small_llamas()[0].config, {.rank = 2});
    Pruner pruner(whole, importance, mask, schedule, options);
    State saved;
    std::vector<float> values;
    for (std::uint64_t t = 0; t < 20; ++t) {
      if (t == 10) {
        pruner.visit_state([&](const std::string& name, std::vector<double>& x) { saved[name] = x; });
        values.assign(whole.run.arena.value(), whole.run.arena.value() + whole.run.arena.size());
      }
      train(whole, pruner, t);
    }
    CHECK(pruner.warnings().empty());
    auto again = random_llama<Model>(device, small_llamas()[0].config, {.rank = 2});
    std::copy(values.begin(), values.end(), again.run.arena.value());
    Pruner resumed(again, importance, mask, schedule, options);
    resumed.visit_state([&](const std::string& name, std::vector<double>& x) { x = saved.at(name); });
    for (std::uint64_t t = 10; t < 20; ++t) train(again, resumed, t);
    CHECK(bits(again) == bits(whole));
    CHECK(resumed.report().reached == 0.5);
    for (std::size_t g = 0; g < 4; ++g) CHECK(resumed.plan().groups[g].scores == pruner.plan().groups[g].scores);
    CHECK(everything(again) == everything(whole));
    // Looking changes nothing: a run that was never asked for its state ends in the same bits.
    auto unasked = random_llama<Model>(device, small_llamas()[0].config, {.rank = 2});
    Pruner third(unasked, importance, mask, schedule, options);
    for (std::uint64_t t = 0; t < 20; ++t) train(unasked, third, t);
    CHECK(everything(unasked) == everything(whole));
  });
}

TEST_CASE("compaction in the middle of a run changes nothing: statistics of inputs follow their columns") {
  using Model = Llama<Cpu<double>, LowRankAdapter>;
  for_each_criterion([](auto importance, auto mask, const PrunerOptions& options) {
    std::vector<std::vector<std::vector<int>>> ends;
    std::vector<double> losses;
    for (const bool cut : {false, true}) {
      Cpu<double> device;
      auto model = random_llama<Model>(device, small_llamas()[0].config, {.rank = 2});
      Pruner pruner(model, importance, mask, LinearSchedule{.begin = 0, .end = 18}, options);
      for (std::uint64_t t = 0; t < 20; ++t) {
        const double share = train(model, pruner, t);
        if (cut && t == 9) {  // between two events
          compact(model);
          CHECK(pruner.report().reached == doctest::Approx(share).epsilon(1e-12));
        }
      }
      CHECK(pruner.warnings().empty());
      CHECK(pruner.report().reached == 0.5);
      ends.emplace_back();
      for (const PlanGroup& g : pruner.plan().groups) ends.back().push_back(g.kept);
      losses.push_back(model.loss(TokenBatch(13, {2, 6}, 99)));
      compact(model);
      CHECK(count_parameters(model) == pruner.report().after);
    }
    CHECK(ends[0] == ends[1]);
    CHECK(losses[0] == doctest::Approx(losses[1]).epsilon(1e-10));
  });
}

TEST_CASE("scores are finite, and the same bits on any number of threads") {
  using Model = Llama<Cpu<float>, LowRankAdapter>;
  for_each_criterion([](auto importance, auto mask, const PrunerOptions& options) {
    std::vector<std::vector<double>> ends;
    for (const int threads : {1, 2, 3, 1}) {
      use_threads(threads);
      Cpu<float> device;
      auto model = random_llama<Model>(device, small_llamas()[1].config, {.rank = 2});
      Pruner pruner(model, importance, mask, CubicSchedule{.begin = 0, .end = 6}, options);
      for (std::uint64_t t = 0; t < 8; ++t) train(model, pruner, t);
      CHECK(pruner.report().reached == 0.5);
      ends.push_back(everything(model));
      for (const PlanGroup& g : pruner.plan().groups) {
        for (const double x : g.scores) CHECK(std::isfinite(x));
        ends.back().insert(ends.back().end(), g.scores.begin(), g.scores.end());
      }
    }
    for (std::size_t n = 1; n < ends.size(); ++n) CHECK(ends[n] == ends[0]);
  });
  use_threads(1);
}

TEST_CASE("masked and compacted are the same function after weights have made up for what left") {
  using Model = Llama<Cpu<double>, LowRankAdapter>;
  Cpu<double> device;
  auto model = random_llama<Model>(device, small_llamas()[1].config, {.rank = 2});
  const auto before = everything(model);
  Pruner pruner(model, OBSImportance{.update = true}, EMAMask{.decay = 0}, CubicSchedule{.begin = 0, .end = 2});
  const TokenBatch batch(model.config.vocab, {2, 6}, 5);
  model.loss(batch), pruner.step();
  model.loss(batch), pruner.step();
  CHECK(pruner.report().reached == 0.5);
  CHECK(everything(model) != before);
  const double masked = model.evaluate(batch);
  compact(model);
  CHECK(double(model.evaluate(batch)) == doctest::Approx(masked).epsilon(1e-12));
}

TEST_CASE("made up for, what a projection puts out is nearer to what it was") {
  using Model = Llama<Cpu<double>, LowRankAdapter>;
  const auto config = small_llamas()[0].config;
  const TokenBatch batch(config.vocab, {4, 12}, 5);
  std::vector<double> errors;
  for (const bool update : {false, true}) {
    Cpu<double> device;
    auto model = random_llama<Model>(device, config, {.rank = 2});
    const auto logits = model.logits(batch.tokens, batch.shape);
    Pruner pruner(model, OBSImportance{.damp = 1e-6, .update = update}, EMAMask{.decay = 0},
                  CubicSchedule{.begin = 0, .end = 1, .sparsity = 0.1},
                  PrunerOptions{.exclude = {0}, .heads = false});
    model.loss(batch), pruner.step();
    const auto now = model.logits(batch.tokens, batch.shape);
    double error = 0;
    for (std::size_t i = 0; i < now.size(); ++i) error += (now[i] - logits[i]) * (now[i] - logits[i]);
    errors.push_back(error);
  }
  CHECK(errors[0] > 0);
  CHECK(errors[1] < errors[0]);
}

TEST_CASE("between events a step allocates nothing after its first") {
  using Model = Llama<Cpu<float>, LowRankAdapter>;
  for_each_criterion([](auto importance, auto mask, const PrunerOptions&) {
    Cpu<float> device;
    auto model = random_llama<Model>(device, small_llamas()[1].config, {.rank = 2});
    Pruner pruner(model, importance, mask, CubicSchedule{.begin = 1e6, .end = 2e6});
    const TokenBatch batch(model.config.vocab, {2, 6});
    for (int t = 0; t < 3; ++t) model.loss(batch), pruner.step();
    long least = 1 << 20;
    for (int window = 0; window < 10 && least > 0; ++window) {
      const long before = allocations;
      for (int t = 0; t < 3; ++t) model.loss(batch), pruner.step();
      least = std::min<long>(least, allocations - before);
    }
    CHECK(least == 0);
  });
}

TEST_CASE("frozen models are pruned by what their inputs are like") {
  using Model = Llama<Cpu<double>, Frozen>;
  Cpu<double> device;
  auto model = random_llama<Model>(device, small_llamas()[1].config, {});
  {
    Pruner pruner(model, WandaImportance{}, EMAMask{}, CubicSchedule{.end = 1});
    CHECK_THROWS_WITH_AS(pruner.step(), doctest::Contains("no backward pass"), Error);
  }
  Pruner pruner(model, WandaImportance{}, EMAMask{}, CubicSchedule{.end = 1});
  model.loss(TokenBatch(model.config.vocab, {2, 6}));
  CHECK(pruner.step() == 0.5);
}
