// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/weight_pruner.hpp>
#include <limits>
#include <map>

#include "allocations.hpp"
#include "llamas.hpp"
#include "oracle_numbers.hpp"
#include "threads.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

using Tiny = Llama<Cpu<double>, LowRankAdapter>;
const LlamaConfig kGrouped = small_llamas()[1].config;
constexpr CubicSchedule kAtOnce{.begin = 0, .end = 1, .sparsity = 0.5};

template <class Projection>
std::vector<double> bits_of(const Projection& p) {
  std::vector<double> bits;
  for (Index i = 0; i < p.out(); ++i)
    for (Index j = 0; j < p.in(); ++j) bits.push_back(!p.weight_mask || kernel::kept(p.weight_mask.bits().row(i), j) ? 1 : 0);
  return bits;
}
template <class Model>
std::map<std::string, std::vector<double>> all_bits(Model& model) {
  std::map<std::string, std::vector<double>> bits;
  for_each_projection(model, [&](const std::string& path, auto& p) { bits[path] = bits_of(p); });
  return bits;
}
double removed(const std::vector<double>& bits) { return double(std::count(bits.begin(), bits.end(), 0.0)); }

/// Scores of every weight, as `elements` writes them.
template <class Model, class Score, class... With>
std::vector<double> element_scores(Model& model, const Score& score, const With&... with) {
  using A = typename Model::A;
  const auto& p = model.projection;
  model.run.restore();
  Pass<typename Model::DeviceType> pass(model.run.workspace, {}, model.run.on_device());
  const auto write = score.elements(pass, p, with...);
  std::vector<A> x(std::size_t(p.out() * p.in()));
  write(0, matrix(x.data(), p.out(), p.in()));
  return {x.begin(), x.end()};
}

template <class Model, class P>
double train(Model& model, P& pruner, std::uint64_t seed, double rate = 0.01) {
  model.loss(TokenBatch(model.config.vocab, {2, 6}, seed));
  const double share = pruner.step();
  for (Index i = 0; i < model.run.arena.size(); ++i)
    model.run.arena.value()[i] -= typename Model::A(rate) * model.run.arena.grad()[i], model.run.arena.grad()[i] = 0;
  return share;
}

}  // namespace

TEST_CASE_TEMPLATE("scores of single weights are the oracle's", Device, Oracle<double>, Cpu<double>) {
  const auto& want = oracle_numbers()["parallel"]["importance"];
  const ParallelCase c;
  Device device;
  auto model = c.model(device, Axis::rows, 1);
  model.loss(c.x, c.y);
  const auto same = [&](const auto& got, const char* name) { CHECK(relative_error(got, numbers(want[name])) <= 1e-12); };
  same(element_scores(model, TaylorImportance{}, 0), "lora_sq");
  same(element_scores(model, TaylorImportance{.power = Power::abs}, 0), "lora_abs_official");
  same(element_scores(model, TaylorImportance{.scaled = true}, 0), "lora_sq_consistent_scale");
  same(element_scores(model, TaylorImportance{.eta = 0}, 0), "lora_sq_eta0");
  same(element_scores(model, TaylorImportance{.eta = 0.1}, 0), "lora_sq_eta0.1");
  same(element_scores(model, MagnitudeImportance{}, 0), "magnitude");

  model.run.step.clip = 0.25;
  auto clipped = element_scores(model, TaylorImportance{.power = Power::abs, .clipped = true}, 0);
  for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] *= 0.25;
  CHECK(relative_error(clipped, element_scores(model, TaylorImportance{.power = Power::abs}, 0)) <= 1e-12);

  const SequentialCase s;
  auto behind = s.model(device, Axis::rows, 1);
  behind.loss(s.x, s.y);
  CHECK(relative_error(element_scores(behind, TaylorImportance{}, 0),
                       numbers(oracle_numbers()["sequential"]["importance"]["seq_sq"])) <= 1e-12);
}

TEST_CASE_TEMPLATE("exact scores of single weights, while backward runs, are the oracle's", Device, Oracle<double>, Cpu<double>) {
  using Projection = typename Single<Device>::Projection;
  struct Seen {
    std::vector<double> squares, values;
    static void look(const void* self, Pass<Device>& pass, const Projection& p, const Probe<Projection>&,
                     const typename Probe<Projection>::Sight& sight) {
      auto& seen = *const_cast<Seen*>(static_cast<const Seen*>(self));
      for (const Power power : {Power::square, Power::abs}) {
        auto scratch = pass.scratch();
        const auto panel = scratch.template matrix<typename Device::Accumulate>(p.out(), p.in());
        const auto write = FullTaylorImportance{.power = power}.elements(scratch, p, sight);
        for (const Index first : {Index{0}, Index{4}}) {  // rows as they are asked for
          const Index n = first == 0 ? 4 : p.out() - 4;
          write(first, panel.rows(first, n));
        }
        (power == Power::abs ? seen.values : seen.squares) = as_doubles(panel);
      }
    }
  } seen;
  const auto& want = oracle_numbers()["parallel"]["importance"];
  const ParallelCase c;
  Device device;
  auto model = c.model(device, Axis::rows, 1);
  model.projection.probe = {&seen, &Seen::look, Axis::rows, {}};
  model.loss(c.x, c.y);
  CHECK(relative_error(seen.squares, numbers(want["full_taylor_sq"])) <= 1e-12);
  CHECK(relative_error(seen.values, numbers(want["full_taylor_abs"])) <= 1e-12);
}

namespace {

/// gB A + B gA − η gB gA in full, with its signs, of the factors that scores take.
template <class Device, class A>
std::vector<double> guided_gradient(Pass<Device>& pass, const LowRankTerm<A>& value, const LowRankTerm<A>& gradient,
                                    double eta) {
  const auto shifted = pass.template matrix<A>(value.u.rows(), value.u.cols());
  pass.device.for_each(shifted.size(), kernel::Shifted<A>{value.u.data, gradient.u.data, A(eta), nullptr, shifted.data});
  const auto g = pass.template matrix<A>(value.b.rows(), value.u.cols());
  espalier::detail::GuidedGradient<A>{gradient.b, value.b, shifted, gradient.u}(pass.device, 0, g);
  return as_doubles(g);
}

}  // namespace

TEST_CASE_TEMPLATE("the guided gradient is the oracle's, in sign too", Device, Oracle<double>, Cpu<double>) {
  Device device;
  const auto& want = oracle_numbers()["parallel"];
  const ParallelCase c;
  auto model = c.model(device, Axis::rows, 1);
  model.loss(c.x, c.y);
  {
    const auto& p = model.projection;
    Pass<Device> pass(model.run.workspace, {});
    const auto w = p.weight.view();
    for (const auto& [eta, name] : {std::pair{1.0, "guided_gradient_eta1"}, std::pair{0.1, "guided_gradient_eta0.1"},
                                    std::pair{0.0, "guided_gradient_eta0"}})
      CHECK(relative_error(guided_gradient(pass, p.adapter.term(pass, w), p.adapter.gradient(pass, w), eta),
                           numbers(want[name])) <= 1e-12);
  }

  const auto& expected = oracle_numbers()["sequential"];
  const SequentialCase s;
  auto behind = s.model(device, Axis::rows, 1);
  behind.loss(s.x, s.y);
  const auto& p = behind.projection;
  Pass<Device> pass(behind.run.workspace, {});
  const auto w = p.weight.view();
  CHECK(relative_error(guided_gradient(pass, p.adapter.term(pass, w), p.adapter.gradient(pass, w), 1),
                       numbers(expected["guided_gradient_eta1"])) <= 1e-12);
  const LowRankTerm<double> ba{p.adapter.b.value, p.adapter.a.value, 1}, d{p.adapter.b.grad, p.adapter.a.grad, 1};
  CHECK(relative_error(guided_gradient(pass, ba, d, 1), numbers(expected["dhat_BA_eta1"])) <= 1e-12);
}

TEST_CASE_TEMPLATE("three steps of the oracle: the running score of single elements", Device, Oracle<double>, Cpu<double>) {
  const auto& json = oracle_numbers()["ema"];
  const ParallelCase c;
  Device device;
  auto model = c.model(device, Axis::rows, 1);
  std::vector<double> running(std::size_t(c.out * c.in), 0.0);
  int bad[2] = {};
  for (const auto& step : json["steps"]) {
    model.loss(numbers(step["x"]), numbers(step["y"]));
    const auto fresh = element_scores(model, TaylorImportance{.power = Power::abs}, 0);
    EMAMask{.decay = json["lambda"].template get<double>()}.smooth(
        device, View<const double, 1>(vector(fresh.data(), Index(fresh.size()))),
        vector(running.data(), Index(running.size())), bad);
    for (Index i = 0; i < model.run.arena.size(); ++i)
      model.run.arena.value()[i] -= json["sgd_lr"].template get<double>() * model.run.arena.grad()[i];
    model.zero_gradients();
  }
  CHECK(relative_error(running, numbers(json["element_bar_after_3"])) <= 1e-12);
}

namespace {

/// The bits of one step at share s, in a model of one projection.
template <class Device, class Score>
std::vector<double> chosen(const Score& score, const WeightPattern& pattern) {
  const ParallelCase c;
  Device device;
  auto model = c.model(device, Axis::rows, 1);
  WeightPruner pruner(model, score, pattern, kAtOnce, {});
  model.loss(c.x, c.y);
  CHECK(pruner.step() == 0.5);
  return bits_of(model.projection);
}
std::vector<double> lowest_half_gone(std::vector<double> score) {
  auto sorted = score;
  std::sort(sorted.begin(), sorted.end());
  for (double& s : score) s = s >= sorted[sorted.size() / 2] ? 1 : 0;
  return score;
}

}  // namespace

TEST_CASE_TEMPLATE("the oracle's masks from gradients that training left, whatever runs it", Device, Oracle<double>, Cpu<double>) {
  const auto& want = oracle_numbers()["parallel"];
  CHECK(chosen<Device>(TaylorImportance{}, WeightPattern::unstructured()) == numbers(want["topk_mask_50_lora_sq"]));
  CHECK(chosen<Device>(TaylorImportance{}, WeightPattern::unstructured(Within::model)) == numbers(want["topk_mask_50_lora_sq"]));
  CHECK(chosen<Device>(TaylorImportance{}, WeightPattern::n_of_m(2, 4)) == numbers(want["nm_2of4_mask_lora_sq"]));
  CHECK(chosen<Device>(FullTaylorImportance{}, WeightPattern::unstructured()) ==
        lowest_half_gone(numbers(want["importance"]["full_taylor_sq"])));
  CHECK(chosen<Device>(MagnitudeImportance{}, WeightPattern::unstructured()) ==
        lowest_half_gone(numbers(want["importance"]["magnitude"])));
}

TEST_CASE("under the oracle's mask the guided gradient is the oracle's") {
  const auto& want = oracle_numbers()["parallel"];
  const ParallelCase c;
  Cpu<double> device;
  auto model = c.model(device, Axis::rows, 1);
  WeightPruner pruner(model, TaylorImportance{}, WeightPattern::unstructured(), kAtOnce, {});
  model.loss(c.x, c.y);
  pruner.step();
  model.zero_gradients();
  model.loss(c.x, c.y);
  auto expected = numbers(want["unstructured_weight_mask"]["guided_gradient"]);
  const auto w = numbers(want["W_merged"]);
  for (std::size_t i = 0; i < w.size(); ++i) expected[i] = std::abs(expected[i] * w[i]);
  CHECK(relative_error(element_scores(model, TaylorImportance{.power = Power::abs}, 0), expected) <= 1e-12);
}

TEST_CASE("counts follow the schedule exactly, per row, projection and model; what is gone stays gone") {
  for (const WeightPattern& pattern :
       {WeightPattern::unstructured(Within::row), WeightPattern::unstructured(), WeightPattern::unstructured(Within::model),
        WeightPattern::n_of_m(2, 4), WeightPattern::n_of_m(4, 8)}) {
    CAPTURE(pattern.name());
    Cpu<double> device;
    auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
    const CubicSchedule schedule{.begin = 2, .end = 10, .sparsity = 0.5};
    WeightPruner pruner(model, TaylorImportance{}, pattern, schedule, {.every = 3});
    auto before = all_bits(model);
    for (Index t = 1; t <= 12; ++t) {
      const double share = train(model, pruner, std::uint64_t(t));
      const auto now = all_bits(model);
      double gone = 0;
      for (const auto& [path, bits] : now) {
        gone += removed(bits);
        for (std::size_t i = 0; i < bits.size(); ++i) CHECK(bits[i] <= before[path][i]);
      }
      const auto report = pruner.report();
      CHECK(report.removed == gone);
      CHECK(share == gone / double(report.prunable));
      CHECK(report.after == report.before - report.removed);
      const bool event = t % 3 == 0 || t == 10;
      if (!event) CHECK(now == before);
      if (event && t <= 10) {
        const double s = schedule(t);
        if (pattern.within == Within::model) {
          CHECK(gone == WeightPattern::count(report.prunable, s));
        } else {
          for_each_projection(model, [&](const std::string& path, auto& p) {
            if (pattern.kind == WeightPattern::Kind::unstructured && pattern.within == Within::projection)
              CHECK(removed(now.at(path)) == WeightPattern::count(p.out() * p.in(), s));
            if (pattern.kind == WeightPattern::Kind::unstructured && pattern.within == Within::row)
              CHECK(removed(now.at(path)) == p.out() * WeightPattern::count(p.in(), s));
          });
        }
      }
      before = now;
    }
    CHECK(pruner.report().reached == doctest::Approx(0.5).epsilon(0.1));
    // what is masked and what is merged into zeros is one function
    const TokenBatch batch(model.config.vocab, {2, 5}, 3);
    const auto masked = model.logits(batch.tokens, batch.shape);
    merge(model);
    for_each_projection(model, [&](const std::string& path, auto& p) {
      for (std::size_t i = 0; i < before[path].size(); ++i)
        if (before[path][i] == 0) CHECK(p.weight.view().data[i] == 0);
      p.weight_mask = {};
    });
    const auto merged = model.logits(batch.tokens, batch.shape);
    CHECK(relative_error({merged.begin(), merged.end()}, {masked.begin(), masked.end()}) <= 1e-12);
  }
}

TEST_CASE("with revival a weight comes back when its score recovers, and straight through its gradients go on") {
  for (const Revival revival : {Revival::ema, Revival::straight_through}) {
    Cpu<double> device;
    auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
    WeightPruner pruner(model, TaylorImportance{}, WeightPattern::unstructured(), CubicSchedule{.begin = 0, .end = 8, .sparsity = 0.5},
                        {.every = 1, .revival = revival});
    auto before = all_bits(model);
    double revived = 0;
    for (std::uint64_t t = 1; t <= 8; ++t) {
      train(model, pruner, t, 0.5);
      const auto now = all_bits(model);
      for (const auto& [path, bits] : now)
        for (std::size_t i = 0; i < bits.size(); ++i) revived += bits[i] > before[path][i];
      before = now;
    }
    CHECK(revived > 0);
    for_each_projection(model, [&](const std::string&, auto& p) {
      if (p.weight_mask) CHECK(p.weight_mask.straight_through == (revival == Revival::straight_through));
    });
  }
}

TEST_CASE("layers and names choose what takes part; a name that nobody has is an error") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
  WeightPruner pruner(model, RandomImportance{.seed = 3}, WeightPattern::rows(), kAtOnce,
                      {.exclude = {-1}, .targets = {"up_proj", "self_attn.q_proj"}});
  pruner.step();
  std::vector<std::string> pruned;
  for (const auto& [path, bits] : all_bits(model))
    if (removed(bits) > 0) pruned.push_back(path);
  CHECK(pruned == std::vector<std::string>{"model.layers.0.mlp.up_proj", "model.layers.0.self_attn.q_proj"});
  CHECK(pruner.report().prunable == 10 * 8 + 8 * 8);
  CHECK(pruner.report().removed == 5 * 8 + 4 * 8);
  const Plan plan = pruner.plan();
  REQUIRE(plan.weights.size() == 2);
  CHECK((plan.weights[0].projection == "model.layers.0.self_attn.q_proj" && plan.weights[0].full == 64 && plan.weights[0].removed == 32));
  CHECK_THROWS_WITH_AS((WeightPruner(model, RandomImportance{}, WeightPattern::rows(), kAtOnce, {.targets = {"c_attn"}})),
                       doctest::Contains("is called c_attn"), Error);
  CHECK_THROWS_WITH_AS((WeightPruner(model, RandomImportance{}, WeightPattern::rows(), kAtOnce, {.exclude = {2}})),
                       doctest::Contains("layer 2 is excluded, but there are 2 layers"), Error);
}

TEST_CASE("what cannot be is refused, and says why") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2, .targets = {"q_proj"}});
  CHECK_THROWS_WITH_AS((WeightPruner(model, TaylorImportance{}, WeightPattern::unstructured(), kAtOnce, {})),
                       doctest::Contains("k_proj: this importance reads the gradients of an adapter"), Error);
  CHECK_THROWS_WITH_AS((WeightPruner(model, MagnitudeImportance{}, WeightPattern::n_of_m(1, 4), kAtOnce, {})),
                       doctest::Contains("give it 0.75"), Error);
  CHECK_THROWS_WITH_AS((WeightPruner(model, FullTaylorImportance{}, WeightPattern::unstructured(Within::model), kAtOnce, {})),
                       doctest::Contains("cannot be compared over the model"), Error);
  auto dropping = random_llama<Tiny>(device, kGrouped, {.rank = 2, .dropout = 0.1});
  CHECK_THROWS_WITH_AS((WeightPruner(dropping, MagnitudeImportance{}, WeightPattern::unstructured(), kAtOnce, {})),
                       doctest::Contains("dropout 0.1"), Error);
  WeightPruner exact(model, FullTaylorImportance{}, WeightPattern::unstructured(), kAtOnce, {});
  CHECK_THROWS_WITH_AS((WeightPruner(model, FullTaylorImportance{}, WeightPattern::unstructured(), kAtOnce, {})),
                       doctest::Contains("is watched by somebody else already"), Error);
  CHECK_THROWS_WITH_AS(exact.step(), doctest::Contains("no backward pass"), Error);
}

TEST_CASE("exact scores of several micro-batches are refused") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
  WeightPruner pruner(model, FullTaylorImportance{}, WeightPattern::unstructured(), kAtOnce, {});
  const TokenBatch batch(model.config.vocab, {2, 6});
  model.loss(batch), model.loss(batch);
  CHECK_THROWS_WITH_AS(pruner.step(), doctest::Contains("2 were accumulated"), Error);
}

TEST_CASE("a score that is not finite leaves its projection's mask alone, and is made up for") {
  for (const Within within : {Within::projection, Within::model}) {
    Cpu<double> device;
    auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
    WeightPruner pruner(model, MagnitudeImportance{}, WeightPattern::unstructured(within), kAtOnce, {});
    auto& weight = model.blocks()[1].mlp.up_proj.weight.view()(0, 0);
    const double was = weight;
    weight = std::numeric_limits<double>::quiet_NaN();
    pruner.step();
    REQUIRE(pruner.warnings().size() == 1);
    CHECK(pruner.warnings()[0].find("model.layers.1.mlp.up_proj") != std::string::npos);
    CHECK(!model.blocks()[1].mlp.up_proj.weight_mask);
    CHECK(model.blocks()[1].mlp.down_proj.weight_mask);
    weight = was;
    pruner.step();
    CHECK(model.blocks()[1].mlp.up_proj.weight_mask);
    CHECK(pruner.report().reached == 0.5);
  }
}

TEST_CASE("one thread == three threads, bit for bit") {
  std::vector<std::map<std::string, std::vector<double>>> runs;
  for (const int threads : {1, 3}) {
    use_threads(threads);
    using Model = Llama<Cpu<float>, LowRankAdapter>;
    Cpu<float> device;
    auto model = random_llama<Model>(device, kGrouped, {.rank = 2});
    WeightPruner pruner(model, FullTaylorImportance{}, WeightPattern::unstructured(), CubicSchedule{.begin = 0, .end = 4, .sparsity = 0.5},
                        {.every = 1});
    for (std::uint64_t t = 1; t <= 5; ++t) train(model, pruner, t);
    runs.push_back(all_bits(model));
    runs.back()["values"] = as_doubles(model.run.arena.value(), model.run.arena.size());
  }
  use_threads(2);
  CHECK(runs[0] == runs[1]);
}

TEST_CASE("between events a step allocates nothing, masked or not") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
  WeightPruner pruner(model, TaylorImportance{}, WeightPattern::unstructured(), CubicSchedule{.begin = 0, .end = 2, .sparsity = 0.5}, {});
  const TokenBatch batch(model.config.vocab, {2, 6});
  for (int t = 0; t < 5; ++t) model.loss(batch), pruner.step();
  CHECK(pruner.report().removed > 0);
  long least = 1 << 20;
  for (int window = 0; window < 10 && least > 0; ++window) {
    const long before = allocations;
    for (int t = 0; t < 3; ++t) model.loss(batch), pruner.step();
    least = std::min<long>(least, allocations - before);
  }
  CHECK(least == 0);
}

TEST_CASE("choosing takes panels and bits, and no second number per weight") {
  using Device = Cpu<float>;
  Device device;
  const Index out = 3000, in = 1024;
  Single<Device> model(device, out, in, false, {.rank = 2, .alpha = 4}, Axis::rows, 1);
  randomise(model, 3);
  for (const Within within : {Within::row, Within::projection, Within::model}) {
    WeightPruner pruner(model, TaylorImportance{}, WeightPattern::unstructured(within), kAtOnce, {});
    fill(model.run.arena.grad(), model.run.arena.size(), 23);
    model.run.workspace.reset();
    pruner.step();
    CHECK(pruner.report().removed == out * in / 2);
    CHECK(model.run.workspace.peak() < out * in * 4);
  }
}
