// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <espalier/io/json_file.hpp>
#include <espalier/train/adamw.hpp>
#include <espalier/train/clip.hpp>
#include <limits>

#include "support/oracle.hpp"
#include "support/stub_model.hpp"

using namespace espalier;
using Real = test::Oracle<double>;

namespace {

/// As in tests/python/make_optimizer_golden.py.
double gradient(Index step, Index i) { return double((step * 37 + i * 11) % 29 - 14) / 8; }

template <class Model>
std::vector<double> numbers(const Model& model, const double* x) {
  return {x, x + model.run.arena.size()};
}

}  // namespace

TEST_CASE("AdamW and clipping take the steps that torch takes") {
  const auto golden = json::read_file(ESPALIER_TEST_DATA "/optimizer.json");
  for (const auto& run : golden.at("adamw").elements()) {
    const auto& o = run.at("options");
    Real device;
    test::StubModel<Real> model(device, {3, 4});
    auto& arena = model.run.arena;
    AdamW optimizer(model, {.rate = o.number("rate"), .beta1 = o.number("beta1"), .beta2 = o.number("beta2"),
                            .eps = o.number("eps"), .decay = o.number("decay")});
    const auto at = [&](Index i) -> std::pair<Parameter<Real>&, Index> {
      return i < 3 ? std::pair<Parameter<Real>&, Index>{model.parameters[0], i}
                   : std::pair<Parameter<Real>&, Index>{model.parameters[1], i - 3};
    };
    for (Index i = 0; i < 7; ++i) at(i).first.value(0, at(i).second) = double(i - 3) / 4;
    for (Index step = 0; step < run.index("steps"); ++step) {
      for (Index i = 0; i < 7; ++i) at(i).first.grad(0, at(i).second) = gradient(step, i);
      clip(model, run.number("clip"));
      CHECK(model.run.look().norm == doctest::Approx(run.at("norms").at(step).as_double()).epsilon(1e-14));
      optimizer.step();
      for (const double g : numbers(model, arena.grad())) CHECK(g == 0);
    }
    for (Index i = 0; i < 7; ++i) {
      const auto [p, j] = at(i);
      CHECK(p.value(0, j) == doctest::Approx(run.at("weights").at(i).as_double()).epsilon(1e-13));
      CHECK(arena.moment(device, 0)[p.offset + j] ==
            doctest::Approx(run.at("moment1").at(i).as_double()).epsilon(1e-13));
      CHECK(arena.moment(device, 1)[p.offset + j] ==
            doctest::Approx(run.at("moment2").at(i).as_double()).epsilon(1e-13));
    }
    CHECK(Index(model.run.step.step) == run.index("steps"));
  }
}

TEST_CASE("AdamW is the equation, written down once more, at a rate that changes every step") {
  Real device;
  test::StubModel<Real> model(device, {1});
  AdamW optimizer(model, {.beta1 = 0.8, .beta2 = 0.99, .eps = 1e-6, .decay = 0.02});
  double w = 0.75, m = 0, v = 0;
  model.parameters[0].value(0, 0) = w;
  for (int t = 1; t <= 40; ++t) {
    const double g = std::sin(t), rate = 0.1 / t;
    model.parameters[0].grad(0, 0) = g;
    optimizer.step(rate);
    m = 0.8 * m + 0.2 * g, v = 0.99 * v + 0.01 * g * g;
    const double mean = m / (1 - std::pow(0.8, t)), variance = v / (1 - std::pow(0.99, t));
    w = w - rate * 0.02 * w - rate * mean / (std::sqrt(variance) + 1e-6);
    CHECK(model.parameters[0].value(0, 0) == doctest::Approx(w).epsilon(1e-13));
  }
}

TEST_CASE("A gradient that is not finite changes no bit of weights or moments, and is counted") {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()}) {
    Real device;
    test::StubModel<Real> model(device, {5, 9000});
    AdamW optimizer(model, {.rate = 0.1, .decay = 0.1});
    auto& arena = model.run.arena;
    const auto fill = [&] {
      for (Index i = 0; i < 9000; ++i) model.parameters[1].grad(0, i) = gradient(3, i);
    };
    for (Index i = 0; i < arena.size(); ++i) arena.value()[i] = double(i % 7) - 3;
    fill(), clip(model, 1), optimizer.step();
    const auto w = numbers(model, arena.value()), m = numbers(model, arena.moment(device, 0)),
               v = numbers(model, arena.moment(device, 1));
    fill();
    model.parameters[1].grad(0, 8999) = bad;
    clip(model, 1), optimizer.step();
    const auto same = [](const std::vector<double>& a, const double* b) {
      return std::memcmp(a.data(), b, a.size() * sizeof(double)) == 0;
    };
    CHECK(same(w, arena.value()));
    CHECK(same(m, arena.moment(device, 0)));
    CHECK(same(v, arena.moment(device, 1)));
    CHECK(model.run.look().skipped == 1);
    for (const double g : numbers(model, arena.grad())) CHECK(g == 0);
    fill(), clip(model, 1), optimizer.step();  // and the next good step is one again
    CHECK_FALSE(same(w, arena.value()));
    CHECK(model.run.look().skipped == 1);
  }
}

TEST_CASE("A clip factor is spent by the step it was made for") {
  Real device;
  test::StubModel<Real> clipped(device, {4}), free(device, {4});
  AdamW a(clipped, {.rate = 0.1}), b(free, {.rate = 0.1});
  for (auto* model : {&clipped, &free})
    for (Index i = 0; i < 4; ++i) model->parameters[0].grad(0, i) = 100;
  clip(clipped, 1e-3), a.step(), b.step();
  CHECK(clipped.run.look().clip == 1);
  CHECK(clipped.run.arena.moment(device, 0)[0] ==
        doctest::Approx(free.run.arena.moment(device, 0)[0] * 1e-3 / (200 + 1e-6)).epsilon(1e-12));
}

TEST_CASE("Hyper-parameters that make no sense are refused") {
  Real device;
  test::StubModel<Real> model(device, {1});
  CHECK_THROWS_AS(AdamW(model, {.rate = -1}), Error);
  CHECK_THROWS_AS(AdamW(model, {.beta1 = 1}), Error);
  CHECK_THROWS_AS(AdamW(model, {.beta2 = -0.1}), Error);
}
