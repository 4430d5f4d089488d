// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <espalier/adapter/initialise.hpp>
#include <espalier/model/llama.hpp>
#include <map>
#include <set>

#include "support/oracle.hpp"

using namespace espalier;
using Real = test::Oracle<double>;
using Model = Llama<Real, LowRankAdapter>;

namespace {
LlamaConfig config() {
  return {.vocab = 32, .hidden = 64, .layers = 2, .heads = 4, .groups = 2, .head_dim = 16, .feed_forward = 96};
}
std::map<std::string, std::vector<double>> values(Model& model) {
  std::map<std::string, std::vector<double>> all;
  for_each_parameter(model, [&](const std::string& path, auto& p) {
    all[path] = {p.value.data, p.value.data + p.size()};
  });
  return all;
}
}  // namespace

TEST_CASE("A is uniform in ±1/√in, B is zero, and every adapter has numbers of its own") {
  Real device;
  Model model(device, config(), {.rank = 8});
  initialise(model, 3);
  CHECK(model.run.step.seed == 3);
  std::set<std::uint32_t> streams;
  std::set<double> firsts;
  Index adapters = 0;
  for_each_projection(model, [&](const std::string&, auto& p) {
    ++adapters;
    streams.insert(p.adapter.stream);
    const double bound = 1 / std::sqrt(double(p.in()));
    double sum = 0, squares = 0, most = 0;
    const Index n = p.adapter.a.size();
    for (Index i = 0; i < n; ++i) {
      const double x = p.adapter.a.value.data[i];
      sum += x, squares += x * x, most = std::max(most, std::abs(x));
    }
    firsts.insert(p.adapter.a.value.data[0]);
    CHECK(most < bound);
    CHECK(most > 0.95 * bound);
    CHECK(std::abs(sum / double(n)) < 0.12 * bound);
    CHECK(squares / double(n) == doctest::Approx(bound * bound / 3).epsilon(0.2));
    for (Index i = 0; i < p.adapter.b.size(); ++i) CHECK(p.adapter.b.value.data[i] == 0);
  });
  CHECK(adapters == 14);
  CHECK(streams.size() == 14);
  CHECK(firsts.size() == 14);
}

TEST_CASE("Gaussian numbers have deviation 1/rank") {
  Real device;
  Model model(device, config(), {.rank = 8, .init = AdapterInit::gaussian});
  initialise(model, 3);
  double sum = 0, squares = 0, fourth = 0, n = 0;
  for_each_projection(model, [&](const std::string&, auto& p) {
    for (Index i = 0; i < p.adapter.a.size(); ++i) {
      const double x = p.adapter.a.value.data[i] * 8;
      sum += x, squares += x * x, fourth += x * x * x * x, ++n;
    }
  });
  CHECK(n == 7680);
  CHECK(std::abs(sum / n) < 0.05);
  CHECK(squares / n == doctest::Approx(1).epsilon(0.06));
  CHECK(fourth / n == doctest::Approx(3).epsilon(0.15));
}

TEST_CASE("The same seed gives the same numbers, another one others; fewer targets change no other adapter") {
  Real device;
  Model a(device, config(), {.rank = 4}), b(device, config(), {.rank = 4}), c(device, config(), {.rank = 4}),
      some(device, config(), {.rank = 4, .targets = {"q_proj", "down_proj"}});
  initialise(a, 1), initialise(b, 1), initialise(c, 2), initialise(some, 1);
  CHECK(values(a) == values(b));
  CHECK(values(a) != values(c));
  const auto all = values(a), few = values(some);
  CHECK(few.size() == 8);
  for (const auto& [path, x] : few) CHECK(all.at(path) == x);
}

TEST_CASE("A fresh adapter changes nothing") {
  Real device;
  Model model(device, config(), {.rank = 4});
  for_each_tensor(model, [&](const std::string&, auto& t) {
    for (Index i = 0; i < t.size(); ++i) t.view().data[i] = 0.1 * std::sin(double(i));
  });
  const std::vector<int> tokens{1, 2, 3};
  const auto before = model.logits(tokens, {1, 3});
  initialise(model, 1);
  CHECK(model.logits(tokens, {1, 3}) == before);
}
