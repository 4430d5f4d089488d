// SPDX-License-Identifier: MIT
// SparseGPT, and Wanda, OBS and movement on single weights.
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/movement.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/importance/sparse_gpt.hpp>
#include <espalier/prune/importance/wanda.hpp>
#include <espalier/prune/weight_pruner.hpp>

#include "baselines.hpp"

using namespace espalier;
using namespace espalier::test;

#define DEVICES Oracle<double>, Cpu<double>

namespace {

template <class Projection>
std::vector<double> bits_of(const Projection& p) {
  std::vector<double> bits;
  for (Index i = 0; i < p.out(); ++i)
    for (Index j = 0; j < p.in(); ++j) bits.push_back(!p.weight_mask || kernel::kept(p.weight_mask.bits().row(i), j) ? 1 : 0);
  return bits;
}
/// What a projection computes with: (W0 + s B A)∘M.
template <class Model>
std::vector<double> effective(Model& model) {
  auto& p = model.projection;
  Pass<typename Model::DeviceType> pass(model.run.workspace, {});
  std::vector<typename Model::A> w(std::size_t(p.out() * p.in()));
  using Weight = WeightRows<typename Model::DeviceType, typename Model::Projection::W, typename Model::A>;
  const auto bits = p.weight_mask ? p.weight_mask.bits() : View<const std::uint32_t, 2>{};
  Weight(pass, espalier::detail::effective_weight(pass, p), bits).write(0, matrix(w.data(), p.out(), p.in()));
  return {w.begin(), w.end()};
}
/// ‖X (W' − W)ᵀ‖² / n
double error(const std::vector<double>& w, const std::vector<double>& was, const std::vector<double>& x, Index in) {
  const Index out = Index(w.size()) / in, tokens = Index(x.size()) / in;
  double sum = 0;
  for (Index t = 0; t < tokens; ++t)
    for (Index i = 0; i < out; ++i) {
      double d = 0;
      for (Index j = 0; j < in; ++j)
        d += x[std::size_t(t * in + j)] * (w[std::size_t(i * in + j)] - was[std::size_t(i * in + j)]);
      sum += d * d;
    }
  return sum / double(tokens);
}
CubicSchedule at_once(double share) { return {.begin = 0, .end = 1, .sparsity = share}; }

/// The case of tests/data/weights.json: inputs made again, never read.
struct WeightCase {
  static constexpr Index out = 5, in = 70, rank = 2, tokens = 90;
  std::vector<double> w, a, b, x;
  WeightCase() {
    SplitMix64 random(2301);
    w = random.uniform(out * in), a = random.uniform(rank * in), b = random.uniform(out * rank);
    x = random.uniform(tokens * in);
  }
  template <Backend Device>
  Single<Device> model(Device& device) const {
    Single<Device> m(device, out, in, false, {.rank = rank, .alpha = 4}, Axis::rows, 1);
    m.set(w, a, b, {});
    return m;
  }
  template <class Model>
  void pass(Model& model) const {
    model.loss(x, std::vector<double>(std::size_t(tokens * out), 0.0));
  }
};

}  // namespace

TEST_CASE_TEMPLATE("Wanda and OBS choose single weights as the oracle does", Device, DEVICES) {
  const BaselineCase c;
  const auto& want = oracle_numbers()["baselines"];
  {
    Device device;
    auto model = c.model(device, Axis::rows, 1);
    WeightPruner pruner(model, WandaImportance{}, WeightPattern::unstructured(Within::row), at_once(0.5), {});
    c.pass(model);
    CHECK(pruner.step() == 0.5);
    CHECK(bits_of(model.projection) == numbers(want["wanda_mask_50_per_row"]));
  }
  Device device;
  auto model = c.model(device, Axis::rows, 1);
  WeightPruner pruner(model, OBSImportance{}, WeightPattern::unstructured(), at_once(0.5), {});
  c.pass(model);
  pruner.step();
  auto score = numbers(want["obs"]), sorted = score;
  std::sort(sorted.begin(), sorted.end());
  for (double& s : score) s = s >= sorted[12] ? 1 : 0;
  CHECK(bits_of(model.projection) == score);
}

TEST_CASE_TEMPLATE("when one weight leaves, the rest of its row moves as the oracle's OBS has it", Device, DEVICES) {
  const BaselineCase c;
  const auto want = numbers(oracle_numbers()["baselines"]["obs_delta_row0_undamped"]);
  for (Index q = 0; q < c.in; ++q) {
    Device device;
    auto model = c.model(device, Axis::rows, 1);
    auto& p = model.projection;
    InputStatistics<Device> seen(device, c.in, InputStatistic::products);
    p.probe = seen.template probe<typename Single<Device>::Projection>();
    c.pass(model);
    p.probe = {};
    WeightMask<Device> stay(device, c.out, c.in);
    auto words = stay.words(device);
    words[0] &= ~(1u << q);
    stay.set(device, words);
    Pass<Device> pass(model.run.workspace, {});
    OBSImportance{.damp = 0}.leave(pass, p, seen.inputs(), stay.bits());
    for (Index i = 0; i < c.out; ++i)
      for (Index j = 0; j < c.in; ++j) {
        const double was = c.w[std::size_t(i * c.in + j)], delta = i == 0 && j != q ? want[std::size_t(q * c.in + j)] : 0;
        CHECK(std::abs(p.weight.view()(i, j) - was - delta) <= 1e-12);
      }
  }
}

TEST_CASE_TEMPLATE("OBS with update: all that leaves a row at once, beside an adapter", Device, DEVICES) {
  const WeightCase c;
  const auto& want = weight_numbers()["obs"];
  Device device;
  auto model = c.model(device);
  WeightPruner pruner(model, OBSImportance{.update = true}, WeightPattern::unstructured(), at_once(0.5), {});
  c.pass(model);
  CHECK(pruner.step() == 0.5);
  CHECK(relative_error(effective(model), numbers(want["left"])) <= 1e-12);
}

TEST_CASE("OBS with update, weights leaving twice: the rest is fitted as if all had left at once") {
  const WeightCase c;
  Cpu<double> device;
  auto model = c.model(device);
  const auto was = effective(model);
  WeightPruner pruner(model, OBSImportance{.update = true}, WeightPattern::unstructured(), CubicSchedule{.begin = 0, .end = 2, .sparsity = 0.5},
                      {.every = 1});
  c.pass(model), pruner.step();
  const auto first = bits_of(model.projection);
  CHECK(pruner.report().removed > 0);
  c.pass(model), pruner.step();
  const auto stay = bits_of(model.projection), left = effective(model);
  CHECK(pruner.report().removed == 175);
  std::vector<double> h(std::size_t(c.in * c.in));
  double diagonal = 0, most = 0, top = 0;
  for (Index t = 0; t < c.tokens; ++t)
    for (Index i = 0; i < c.in; ++i)
      for (Index j = 0; j < c.in; ++j)
        h[std::size_t(i * c.in + j)] += 2.0 / double(c.tokens) * c.x[std::size_t(t * c.in + i)] * c.x[std::size_t(t * c.in + j)];
  for (Index i = 0; i < c.in; ++i) diagonal += h[std::size_t(i * c.in + i)] / double(c.in);
  for (Index i = 0; i < c.in; ++i) h[std::size_t(i * c.in + i)] += 0.01 * diagonal;
  for (Index i = 0; i < c.out; ++i)
    for (Index j = 0; j < c.in; ++j) {  // no weight that stays can do better: the slope there is zero
      const auto at = std::size_t(i * c.in + j);
      double slope = 0;
      for (Index l = 0; l < c.in; ++l)
        slope += (left[std::size_t(i * c.in + l)] - was[std::size_t(i * c.in + l)]) * h[std::size_t(l * c.in + j)];
      (stay[at] != 0 ? most : top) = std::max(stay[at] != 0 ? most : top, std::abs(slope));
      CHECK(stay[at] <= first[at]);
    }
  CHECK(most <= 1e-11 * top);
}

TEST_CASE("movement under masks that backward looks through: sums go on for what is masked, and for who goes on from a state") {
  const ParallelCase c;
  Cpu<double> device;
  const auto made = [&](auto& model) {
    return WeightPruner(model, MovementImportance{}, WeightPattern::unstructured(), CubicSchedule{.begin = 0, .end = 6, .sparsity = 0.5},
                        {.every = 1, .revival = Revival::straight_through});
  };
  const auto sum_of = [](auto& pruner) {
    std::vector<double> sum;
    pruner.visit_state([&](const std::string& name, std::vector<double>& x) {
      if (name.ends_with("scores")) sum = x;
    });
    return sum;
  };
  auto model = c.model(device, Axis::rows, 1), other = c.model(device, Axis::rows, 1);
  auto pruner = made(model), resumed = made(other);
  const auto step = [&](auto& m, auto& by, const std::vector<double>& x, const std::vector<double>& y) {
    m.zero_gradients(), m.loss(x, y), by.step();
  };
  const auto descend = [](auto& m) {
    for (Index i = 0; i < m.run.arena.size(); ++i) m.run.arena.value()[i] -= 0.2 * m.run.arena.grad()[i];
  };
  SplitMix64 random(777);
  std::vector<double> sum(std::size_t(c.out * c.in), 0.0), bits(sum.size(), 1.0);
  int returned = 0;
  for (Index t = 1; t <= 6; ++t) {
    const auto x = random.uniform(4 * c.in), y = random.uniform(4 * c.out);
    auto& p = model.projection;
    std::vector<double> w = c.w, g(sum.size(), 0.0), db(std::size_t(c.out * c.rank), 0.0);
    for (Index i = 0; i < c.out; ++i)
      for (Index j = 0; j < c.in; ++j)
        for (Index r = 0; r < c.rank; ++r)
          w[std::size_t(i * c.in + j)] += 2 * p.adapter.b.value.data[i * c.rank + r] * p.adapter.a.value.data[r * c.in + j];
    for (Index n = 0; n < 4; ++n)
      for (Index i = 0; i < c.out; ++i) {
        double z = c.bias[std::size_t(i)];
        for (Index j = 0; j < c.in; ++j)
          z += bits[std::size_t(i * c.in + j)] * w[std::size_t(i * c.in + j)] * x[std::size_t(n * c.in + j)];
        for (Index j = 0; j < c.in; ++j)
          g[std::size_t(i * c.in + j)] += (z - y[std::size_t(n * c.out + i)]) / 4 * x[std::size_t(n * c.in + j)];
      }
    for (Index i = 0; i < c.out; ++i)
      for (Index j = 0; j < c.in; ++j) {
        const auto at = std::size_t(i * c.in + j);
        sum[at] -= g[at] * w[at];
        for (Index r = 0; r < c.rank; ++r) db[std::size_t(i * c.rank + r)] += 2 * g[at] * p.adapter.a.value.data[r * c.in + j];
      }
    step(model, pruner, x, y);
    CHECK(relative_error(sum_of(pruner), sum) <= 1e-12);
    CHECK(relative_error({p.adapter.b.grad.data, p.adapter.b.grad.data + c.out * c.rank}, db) <= 1e-12);
    const Index k = WeightPattern::count(c.out * c.in, CubicSchedule{.begin = 0, .end = 6, .sparsity = 0.5}(t));
    auto sorted = sum;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < sum.size(); ++i) {
      const double stays = sum[i] >= sorted[std::size_t(k)] ? 1 : 0;
      returned += stays > bits[i];
      bits[i] = stays;
    }
    CHECK(bits_of(p) == bits);
    descend(model);
    if (t > 3) {
      step(other, resumed, x, y), descend(other);
      CHECK(bits_of(other.projection) == bits);
      CHECK(sum_of(resumed) == sum_of(pruner));
    } else if (t == 3) {  // goes on where the first one is
      std::vector<std::pair<std::string, std::vector<double>>> state;
      pruner.visit_state([&](const std::string& name, std::vector<double>& numbers) { state.emplace_back(name, numbers); });
      std::size_t at = 0;
      resumed.visit_state([&](const std::string& name, std::vector<double>& numbers) {
        CHECK(name == state[at].first);
        numbers = state[at++].second;
      });
      other.projection.weight_mask.set(device, p.weight_mask.words(device));
      for (Index i = 0; i < other.run.arena.size(); ++i) other.run.arena.value()[i] = model.run.arena.value()[i];
    }
  }
  CHECK(returned > 0);
}

TEST_CASE_TEMPLATE("movement over three steps is the oracle's, and what moved least away from zero leaves", Device, DEVICES) {
  const auto& json = oracle_numbers()["ema"];
  const ParallelCase c;
  Device device;
  auto model = c.model(device, Axis::rows, 1);
  WeightPruner pruner(model, MovementImportance{}, WeightPattern::unstructured(),
                      CubicSchedule{.begin = 0, .end = 3, .sparsity = 0.5}, {.every = 5});
  SplitMix64 random(777);
  for (int t = 0; t < 3; ++t) {
    const auto x = random.uniform(4 * c.in), y = random.uniform(4 * c.out);
    model.zero_gradients();
    model.loss(x, y);
    CHECK((pruner.step() == (t == 2 ? 0.5 : 0.0)));
    for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.value()[i] -= 0.05 * model.run.arena.grad()[i];
  }
  std::vector<double> sum;
  pruner.visit_state([&](const std::string& name, std::vector<double>& x) {
    if (name.ends_with("scores")) sum = x;
  });
  const auto want = numbers(json["movement_score_after_3"]);
  CHECK(relative_error(sum, want) <= 1e-12);
  auto sorted = want, bits = want;
  std::sort(sorted.begin(), sorted.end());
  for (double& s : bits) s = s >= sorted[24] ? 1 : 0;
  CHECK(bits_of(model.projection) == bits);
}

TEST_CASE_TEMPLATE("SparseGPT as published: the oracle's mask, weights and errors; and why 13 leave where 12 are asked for", Device,
                   DEVICES) {
  const BaselineCase c;
  const auto& want = oracle_numbers()["baselines"];
  Device device;
  auto model = c.model(device, Axis::rows, 1);
  WeightPruner pruner(model, SparseGPTImportance{.official = true}, WeightPattern::unstructured(), at_once(0.5), {});
  c.pass(model);
  pruner.step();
  auto gone = bits_of(model.projection);
  for (double& g : gone) g = 1 - g;
  CHECK(gone == numbers(want["sparsegpt_mask_50_official"]));  // the file says what leaves
  CHECK(pruner.report().removed == Index(want["sparsegpt_pruned_count"]));
  CHECK(pruner.report().removed == Index(want["sparsegpt_requested_count"]) + 1);
  const auto got = effective(model);
  CHECK(relative_error(got, numbers(want["sparsegpt_W"])) <= 1e-12);
  CHECK(std::abs(error(got, c.w, c.x, c.in) / double(want["sparsegpt_reconstruction"]) - 1) <= 1e-12);
  auto zeroed = c.w;
  for (std::size_t i = 0; i < zeroed.size(); ++i) zeroed[i] *= bits_of(model.projection)[i];
  CHECK(std::abs(error(zeroed, c.w, c.x, c.in) / double(want["zeroed_reconstruction"]) - 1) <= 1e-12);

  Device other;
  auto exact = c.model(other, Axis::rows, 1);
  WeightPruner ours(exact, SparseGPTImportance{}, WeightPattern::unstructured(), at_once(0.5), {});
  c.pass(exact);
  ours.step();
  CHECK(ours.report().removed == 12);
}

TEST_CASE_TEMPLATE("SparseGPT over several blocks and n:m is its definition, column by column, beside an adapter", Device, DEVICES) {
  const WeightCase c;
  for (const auto& want : weight_numbers()["sparsegpt"]) {
    const double share = want["share"];
    const std::string name = want["pattern"];
    CAPTURE(name);
    Device device;
    auto model = c.model(device);
    const auto was = effective(model);
    WeightPruner pruner(model, SparseGPTImportance{.block = want["block"]}, WeightPattern::called(name), at_once(share), {});
    c.pass(model);
    pruner.step();
    auto gone = bits_of(model.projection);
    for (double& g : gone) g = 1 - g;
    CHECK(gone == numbers(want["removed"]));
    const auto left = effective(model);
    CHECK(relative_error(left, numbers(want["left"])) <= 1e-11);
    CHECK(std::abs(error(left, was, c.x, c.in) / double(want["error"]) - 1) <= 1e-10);
  }
}

TEST_CASE("SparseGPT step by step: what is gone stays gone, the count is exact, and every block has its share but for rounding") {
  const WeightCase c;
  Cpu<double> device;
  auto model = c.model(device);
  const LinearSchedule schedule{.begin = 0, .end = 250, .sparsity = 0.6};  // less than a weight a step: blocks take turns
  WeightPruner pruner(model, SparseGPTImportance{.block = 32}, WeightPattern::unstructured(), schedule, {.every = 1});
  auto before = bits_of(model.projection);
  for (Index t = 1; t <= 100; ++t) {
    c.pass(model);
    pruner.step();
    CHECK(pruner.report().removed == WeightPattern::count(c.out * c.in, schedule(t)));
    const auto now = bits_of(model.projection);
    int back = 0;
    for (std::size_t i = 0; i < now.size(); ++i) back += now[i] > before[i];
    CHECK(back == 0);
    for (Index first = 0; first < c.in; first += 32) {
      Index removed = 0;
      const Index n = std::min<Index>(32, c.in - first);
      for (Index i = 0; i < c.out; ++i)
        for (Index j = first; j < first + n; ++j) removed += now[std::size_t(i * c.in + j)] == 0;
      CHECK(std::abs(removed - WeightPattern::count(c.out * n, schedule(t))) <= 1);
    }
    before = now;
  }
}

TEST_CASE("a Hessian that is not positive definite changes nothing, and says what to do") {
  const WeightCase c;
  Cpu<double> device;
  auto model = c.model(device);
  const auto was = effective(model);
  WeightPruner pruner(model, SparseGPTImportance{.damp = 0}, WeightPattern::unstructured(), at_once(0.5), {});
  model.loss({c.x.begin(), c.x.begin() + 3 * c.in}, std::vector<double>(3 * std::size_t(c.out), 0.0));  // 3 tokens, 70 columns
  pruner.step();
  REQUIRE(pruner.warnings().size() == 1);
  CHECK(pruner.warnings()[0].find("let it see more tokens, or raise damp") != std::string::npos);
  CHECK(effective(model) == was);
}

TEST_CASE("what SparseGPT cannot do is refused") {
  const WeightCase c;
  Cpu<double> device;
  auto model = c.model(device);
  const auto refused = [&](const SparseGPTImportance& score, const WeightPattern& pattern, WeightPrunerOptions options, const char* words) {
    CHECK_THROWS_WITH_AS((WeightPruner(model, score, pattern, at_once(0.5), options)), doctest::Contains(words), Error);
  };
  refused({}, WeightPattern::rows(), {}, "chooses weight by weight");
  refused({}, WeightPattern::unstructured(Within::model), {}, "not within a model");
  refused({.block = 40}, WeightPattern::unstructured(), {}, "expected a multiple of 32");
  refused({}, WeightPattern::unstructured(), {.revival = Revival::ema}, "cannot come back");
}
