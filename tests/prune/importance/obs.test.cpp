// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/pruner.hpp>

#include "baselines.hpp"
#include "scores.hpp"

using namespace espalier;
using namespace espalier::test;

#define DEVICES Oracle<double>, Cpu<double>

namespace {

/// Units of an adapter's projection; inputs made again, never read.
struct GroupCase {
  static constexpr Index out = 5, in = 12, rank = 2, tokens = 30;
  std::vector<double> w, a, b, x;
  nlohmann::json json = importance_numbers()["obs"];

  GroupCase() {
    SplitMix64 random(1993);
    w = random.uniform(out * in), a = random.uniform(rank * in), b = random.uniform(out * rank);
    x = random.uniform(tokens * in);
  }
  template <Backend Device>
  Single<Device> model(Device& device, Index width) const {
    Single<Device> m(device, out, in, false, {.rank = rank, .alpha = 4}, Axis::columns, width);
    m.set(w, a, b, {});
    return m;
  }
  template <class Model>
  void pass(Model& model) const {
    model.loss(x, std::vector<double>(std::size_t(tokens * out), 0.0));
  }
};

/// Scores that a test hands in, and weights that make up for what leaves as OBS has it.
struct GivenWithUpdate : OBSImportance {
  const std::vector<double>* scores = nullptr;
  template <class Device, class Projection, class A>
  void score(Pass<Device>&, const Projection&, Axis, const Inputs<A>& inputs, View<A, 1> out) const {
    for (Index j = 0; j < out.shape[0]; j += inputs.units.width)
      out(j) = A((*scores)[std::size_t(j / inputs.units.width)]);
  }
};

}  // namespace

TEST_CASE_TEMPLATE("single columns add up the oracle's scores", Device, DEVICES) {
  const BaselineCase c;
  Device device;
  auto model = c.model(device, Axis::columns, 1);
  const auto got = group_scores(model, OBSImportance{}, Normalise::none, [&] { c.pass(model); });
  const auto elements = numbers(oracle_numbers()["baselines"]["obs"]);
  CHECK(relative_error(got.front(), c.units(elements, Axis::columns, 1)) <= 1e-12);
}

TEST_CASE_TEMPLATE("units of columns beside an adapter: the textbook's formula, also of what is left", Device, DEVICES) {
  const GroupCase c;
  for (const Index width : {1, 2, 3, 4, 6})
    for (const bool masked : {false, true}) {
      CAPTURE(width);
      CAPTURE(masked);
      Device device;
      auto model = c.model(device, width);
      if (masked) {
        std::vector<std::uint8_t> alive(std::size_t(c.in / width), 1);
        alive[1] = 0;
        model.units.set(device, alive);
      }
      const auto got = group_scores(model, OBSImportance{}, Normalise::none, [&] { c.pass(model); });
      const auto want = numbers(c.json[masked ? "masked" : "scores"][std::to_string(width)]);
      CHECK(relative_error(got.front(), want) <= 1e-12);
    }
}

TEST_CASE("rows say nothing: nothing is kept of their inputs") {
  const BaselineCase c;
  Cpu<double> device;
  auto model = c.model(device, Axis::rows, 1);
  Scores<Single<Cpu<double>>> scores(model);
  scores.prepare_for(OBSImportance{});
  scores.watch(OBSImportance{});
  CHECK_FALSE(bool(model.projection.probe));
}

TEST_CASE("the oracle's update of one weight, undamped: what leaves is zero and the rest makes up for it") {
  const BaselineCase c;
  const auto deltas = numbers(oracle_numbers()["baselines"]["obs_delta_row0_undamped"]);
  for (Index q = 0; q < c.in; ++q) {
    Cpu<double> device;
    auto model = c.model(device, Axis::columns, 1);
    std::vector<double> scores(std::size_t(c.in), 1.0);
    scores[std::size_t(q)] = 0;
    GivenWithUpdate importance;
    importance.damp = 0, importance.update = true, importance.scores = &scores;
    Pruner pruner(model, importance, EMAMask{.decay = 0}, CubicSchedule{.end = 1, .sparsity = 1.0 / 6});
    c.pass(model);
    pruner.step();
    REQUIRE_FALSE(model.units.alive()[std::size_t(q)]);
    std::vector<double> moved, want;
    for (Index j = 0; j < c.in; ++j)
      if (j != q) {
        moved.push_back(model.projection.weight.view()(0, j) - c.w[std::size_t(j)]);
        want.push_back(deltas[std::size_t(q * c.in + j)]);
      }
    CHECK(relative_error(moved, want) <= 1e-12);
    CHECK(model.projection.weight.view()(0, q) == c.w[std::size_t(q)]);  // behind a mask: as it was
  }
}

TEST_CASE_TEMPLATE("units that leave together, and one after them: by blocks it is the textbook's update", Device, DEVICES) {
  const GroupCase c;
  Device device;
  auto model = c.model(device, 3);
  std::vector<double> scores{0, 3, 1, 2};
  GivenWithUpdate importance;
  importance.update = true, importance.scores = &scores;
  Pruner pruner(model, importance, EMAMask{.decay = 0}, LinearSchedule{.begin = 0, .end = 3, .sparsity = 0.75},
                PrunerOptions{.every = 2});
  CHECK(pruner.changes_weights());
  for (int t = 0; t < 2; ++t) c.pass(model), pruner.step();
  REQUIRE(model.units.alive() == std::vector<std::uint8_t>{0, 1, 0, 1});
  CHECK(relative_error(as_doubles(model.projection.weight.view()), numbers(c.json["after_0_and_2"])) <= 1e-12);
  const auto then = group_scores(model, OBSImportance{}, Normalise::none, [&] { c.pass(model); });
  CHECK(relative_error(then.front(), numbers(c.json["scores_then"])) <= 1e-12);
  pruner.visit_state([](const auto&...) {});  // watches again
  c.pass(model), pruner.step();
  REQUIRE(model.units.alive() == std::vector<std::uint8_t>{0, 1, 0, 0});
  CHECK(relative_error(as_doubles(model.projection.weight.view()), numbers(c.json["after_3"])) <= 1e-12);
}

TEST_CASE("a Hessian that is not positive definite names the group and says so; the rest waits for it") {
  const BaselineCase c;
  Cpu<double> device;
  auto model = c.model(device, Axis::columns, 1);
  const std::vector<double> x(std::size_t(c.tokens * c.in), 0.0);  // nothing ever comes in
  Pruner pruner(model, OBSImportance{}, EMAMask{.decay = 0}, CubicSchedule{.end = 1});
  model.loss(x, std::vector<double>(std::size_t(c.tokens * c.out), 1.0));
  pruner.step();
  REQUIRE(pruner.warnings().size() == 1);
  CHECK(pruner.warnings()[0].find("layer 0 channels") != std::string::npos);
  CHECK(pruner.warnings()[0].find("not positive definite") != std::string::npos);
  CHECK_FALSE(model.units.masked());
  c.pass(model);
  CHECK(pruner.step() == 0.5);
}

TEST_CASE("what makes no sense is refused") {
  const BaselineCase c;
  Cpu<double> device;
  auto model = c.model(device, Axis::columns, 1);
  const auto refuses = [&](const OBSImportance& importance, const PrunerOptions& o, const char* why) {
    CHECK_THROWS_WITH_AS(Pruner(model, importance, EMAMask{}, CubicSchedule{.end = 1}, o), doctest::Contains(why), Error);
  };
  refuses({.damp = -1}, {}, "damp is -1");
  refuses({.decay = 2}, {}, "decay is 2");
  refuses({.decay = 0, .update = true}, {}, "statistics that last");
  refuses({.update = true}, {.revival = Revival::ema}, "revival has to be none");
}

TEST_CASE("extra memory does not grow with out x in") {
  std::vector<Index> extra;
  for (const Index out : {1024, 4096}) {
    const Index in = 64;
    const std::vector<double> x(std::size_t(2 * in), 0.5), y(std::size_t(2 * out), 0.25);
    Cpu<float> device;
    Single<Cpu<float>> model(device, out, in, false, {.rank = 2}, Axis::columns, 4);
    Scores<Single<Cpu<float>>> scores(model);
    const OBSImportance importance;
    scores.prepare_for(importance);
    scores.watch(importance);
    model.loss(x, y);
    model.run.workspace.reset();
    scores.update(importance, Latest{}, Normalise::none);
    extra.push_back(model.run.workspace.peak());
  }
  CHECK(extra[0] > 0);
  CHECK(extra[0] == extra[1]);
}
