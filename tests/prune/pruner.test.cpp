// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/importance/signed_taylor.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/pruner.hpp>
#include <limits>
#include <map>

#include "allocations.hpp"
#include "llamas.hpp"
#include "oracle_numbers.hpp"
#include "scores.hpp"

using namespace espalier;
using namespace espalier::test;
using Bits = std::vector<std::uint8_t>;

namespace {

using Tiny = Llama<Cpu<double>, LowRankAdapter>;
constexpr auto kNever = CubicSchedule{.begin = 1e6, .end = 2e6};
const LlamaConfig kGrouped = small_llamas()[1].config;  // 2 layers, 2 key-value groups, 10 channels

/// Scores that a test hands in: numbers[g][u] for unit u of group g.
struct Given {
  static constexpr Needs needs = Needs::nothing;
  const std::vector<std::vector<double>>* numbers;
  template <class Device, class Group, class A>
  void score_units(Pass<Device>&, const Group& group, Index number, const int*, View<A, 1> out) const {
    for (Index u = 0; u < group.units(); ++u) out(u) = A((*numbers)[std::size_t(number)][std::size_t(u)]);
  }
  template <class A>
  A finish(A sum, Index) const {
    return sum;
  }
  template <class F>
  void settings(F&& f) const {
    f("importance", "given");
  }
};

template <class Model>
void zero_gradients(Model& model) {
  for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] = 0;
}
template <class Model>
std::vector<Bits> bits(Model& model) {
  std::vector<Bits> out;
  model.groups([&](auto group) { out.push_back(group.mask->alive()); });
  return out;
}
template <class P>
std::vector<std::vector<int>> kept(P& pruner) {
  std::vector<std::vector<int>> out;
  for (const PlanGroup& g : pruner.plan().groups) out.push_back(g.kept);
  return out;
}

/// One step of training without an optimizer: weights move a little along the gradients.
template <class Model, class P>
double train(Model& model, P& pruner, std::uint64_t seed) {
  const TokenBatch batch(model.config.vocab, {2, 6}, seed);
  model.loss(batch);
  const double share = pruner.step();
  for (Index i = 0; i < model.run.arena.size(); ++i)
    model.run.arena.value()[i] -= typename Model::A(0.01) * model.run.arena.grad()[i];
  zero_gradients(model);
  return share;
}

}  // namespace

TEST_CASE_TEMPLATE("three steps of the oracle: scores, running scores and the adapters they came from", Device,
                   Oracle<double>, Cpu<double>) {
  const auto& json = oracle_numbers()["ema"];
  Device device;
  const ParallelCase c;
  auto model = c.model(device, Axis::rows, 2);
  Pruner pruner(model, TaylorImportance{.power = Power::abs}, EMAMask{.decay = 0.9}, kNever,
                PrunerOptions{.normalise = Normalise::all});
  SplitMix64 random(777);
  for (const auto& step : json["steps"]) {
    const auto x = random.uniform(4 * c.in), y = random.uniform(4 * c.out);
    CHECK(x == numbers(step["x"]));
    CHECK(relative_error(as_doubles(model.projection.adapter.a.value), numbers(step["A_before"])) <= 1e-12);
    CHECK(relative_error(as_doubles(model.projection.adapter.b.value), numbers(step["B_before"])) <= 1e-12);
    model.loss(x, y);
    pruner.step();
    CHECK(relative_error(pruner.plan().groups[0].scores, numbers(step["group_bar"])) <= 1e-12);
    for (Index i = 0; i < model.run.arena.size(); ++i)
      model.run.arena.value()[i] -= json["sgd_lr"].template get<double>() * model.run.arena.grad()[i];
    model.zero_gradients();
  }
  CHECK(relative_error(as_doubles(model.projection.adapter.a.value), numbers(json["A_final"])) <= 1e-12);
  CHECK(relative_error(as_doubles(model.projection.adapter.b.value), numbers(json["B_final"])) <= 1e-12);
}

TEST_CASE("two events of the oracle: none keeps what is masked masked, ema lets it come back") {
  const auto& json = oracle_numbers()["revival"];
  for (const Revival revival : {Revival::none, Revival::ema, Revival::straight_through}) {
    Cpu<double> device;
    Single<Cpu<double>> model(device, 6, 3, false, {.rank = 1}, Axis::rows, 1);
    std::vector<std::vector<double>> scores{numbers(json["g1"])};
    Pruner pruner(model, Given{&scores}, EMAMask{.decay = 0},
                  LinearSchedule{.begin = 0, .end = 2, .sparsity = 0.5, .initial = 0.5},
                  PrunerOptions{.every = 1, .revival = revival});
    pruner.step();
    const auto alive = [&] { return std::vector<double>(model.units.alive().begin(), model.units.alive().end()); };
    CHECK(alive() == numbers(json["mask_1"]));
    scores[0] = numbers(json["g2"]);
    pruner.step();
    CHECK(alive() == numbers(json[revival == Revival::none ? "mask_2_official" : "mask_2_paper"]));
    CHECK(model.units.forward()(2) == 0);
    CHECK(model.units.backward()(2) == (revival == Revival::straight_through ? 1 : 0));
  }
}

TEST_CASE("events come every so many steps and where the schedule ends, and reach the target") {
  for (const double end : {40.0, 37.0, 36.5}) {
    Cpu<double> device;
    auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
    Pruner pruner(model, RandomImportance{}, EMAMask{}, CubicSchedule{.begin = 4, .end = end},
                  PrunerOptions{.every = 4});
    std::vector<Index> moved;
    double share = 0;
    for (Index t = 1; t <= 60; ++t)
      if (const double now = pruner.step(); now != share) moved.push_back(t), share = now;
    CHECK(share == 0.5);
    CHECK(moved.front() == 8);
    for (const Index t : moved) CHECK((t % 4 == 0 || t == Index(std::ceil(end))));
    CHECK(moved.back() <= Index(std::ceil(end)));
    CHECK(pruner.report().reached == 0.5);
    CHECK(pruner.report().asked == 0.5);
    CHECK(pruner.steps() == 60);
  }
}

TEST_CASE("the end is an event of its own, even where every misses it") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
  Pruner pruner(model, RandomImportance{}, EMAMask{}, LinearSchedule{.begin = 0, .end = 5},
                PrunerOptions{.every = 1000});
  for (Index t = 1; t <= 7; ++t) CHECK(pruner.step() == (t < 5 ? 0.0 : 0.5));
}

TEST_CASE("how much leaves does not hang on how often units leave, nor on whether they may come back") {
  const auto counts = [](Index every, Revival revival) {
    Cpu<double> device;
    auto model = random_llama<Tiny>(device, small_llamas()[0].config, {.rank = 2});  // 4 heads, 10 channels in a layer
    Pruner pruner(model, RandomImportance{}, EMAMask{}, LinearSchedule{.begin = 0, .end = 12, .sparsity = 0.84},
                  PrunerOptions{.every = every, .revival = revival});
    for (Index t = 1; t <= 12; ++t) pruner.step();
    std::vector<Index> left;
    for (const PlanGroup& g : pruner.plan().groups) left.push_back(Index(g.kept.size()));
    return left;
  };
  // floor(4 x 0.84 + 1/2) = 3 and floor(10 x 0.84 + 1/2) = 8 leave. Heads are then as few as they may be long before the end.
  for (const Index every : {1, 3, 1000})
    for (const Revival revival : {Revival::none, Revival::ema}) CHECK(counts(every, revival) == std::vector<Index>{1, 2, 1, 2});
}

TEST_CASE("half of the heads and channels of every layer leave: the lowest by score") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, small_llamas()[0].config, {.rank = 2});
  std::vector<std::vector<double>> scores{
      {4, 1, 3, 2}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, {1, 1, 1, 1}, {0, 1, 0, 1, 0, 1, 0, 1, 0, 1}};
  Pruner pruner(model, Given{&scores}, EMAMask{}, CubicSchedule{.begin = 0, .end = 1});
  CHECK(pruner.step() == 0.5);
  CHECK(bits(model) ==
        std::vector<Bits>{{1, 0, 1, 0}, {1, 1, 1, 1, 1, 0, 0, 0, 0, 0}, {0, 0, 1, 1}, {0, 1, 0, 1, 0, 1, 0, 1, 0, 1}});
  const Plan plan = pruner.plan();
  REQUIRE(plan.groups.size() == 4);
  CHECK(plan.groups[0].kind == "heads");
  CHECK(plan.groups[3].layer == 1);
  CHECK(plan.groups[0].kept == std::vector<int>{0, 2});
  CHECK(plan.groups[0].scores[0] == doctest::Approx(0.4));
  const std::map<std::string, std::string> settings(plan.settings.begin(), plan.settings.end());
  CHECK(settings.at("importance") == "given");
  CHECK(settings.at("schedule") == "cubic");
  CHECK(settings.at("ranking") == "local");
  CHECK(settings.at("sparsity") == "0.5");
}

TEST_CASE("a score that is not finite names its group, skips it alone, and is made up for") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
  std::vector<std::vector<double>> scores{
      {1, 2}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, {1, 2}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}};
  Pruner pruner(model, Given{&scores}, EMAMask{}, CubicSchedule{.begin = 0, .end = 2}, PrunerOptions{.every = 5});
  scores[3][4] = std::numeric_limits<double>::quiet_NaN();
  pruner.step();
  CHECK(pruner.warnings().empty());  // nobody has looked yet
  CHECK(pruner.step() < 0.5);
  CHECK(bits(model)[1] == Bits{1, 1, 1, 1, 1, 0, 0, 0, 0, 0});
  CHECK(bits(model)[3] == Bits(10, 1));
  REQUIRE(pruner.warnings().size() == 1);
  CHECK(pruner.warnings()[0].find("layer 1 channels") != std::string::npos);
  CHECK(pruner.warnings()[0].find("2 of the scores") != std::string::npos);
  scores[3][4] = 5;
  CHECK(pruner.step() == 0.5);
  CHECK(bits(model)[3] == Bits{1, 1, 1, 1, 1, 0, 0, 0, 0, 0});
  CHECK(pruner.warnings().size() == 1);
}

TEST_CASE("between events a step allocates nothing after its first, whatever the score") {
  const auto check = [](auto importance) {
    using Model = Llama<Cpu<float>, LowRankAdapter>;
    Cpu<float> device;
    auto model = random_llama<Model>(device, kGrouped, {.rank = 2});
    Pruner pruner(model, importance, EMAMask{}, kNever);
    const TokenBatch batch(kGrouped.vocab, {2, 6});
    for (int t = 0; t < 3; ++t) model.loss(batch), pruner.step();
    // A thread of the device takes its own scratch memory when it first works, which may be late: the least of a few.
    long least = 1 << 20;
    for (int window = 0; window < 10 && least > 0; ++window) {
      const long before = allocations;
      for (int t = 0; t < 3; ++t) model.loss(batch), pruner.step();
      least = std::min<long>(least, allocations - before);
    }
    CHECK(least == 0);
  };
  check(TaylorImportance{});
  check(FullTaylorImportance{});
  check(SignedTaylorImportance{});
  check(MagnitudeImportance{});
  check(RandomImportance{});
}

TEST_CASE("a resumed pruner goes on bit for bit") {
  const auto check = [](auto importance, const PrunerOptions& options) {
    using Model = Llama<Cpu<float>, LowRankAdapter>;
    const auto schedule = CubicSchedule{.begin = 2, .end = 17};
    Cpu<float> device;
    auto whole = random_llama<Model>(device, small_llamas()[0].config, {.rank = 2});
    Pruner pruner(whole, importance, EMAMask{}, schedule, options);
    std::map<std::string, std::vector<double>> saved;
    std::vector<float> values;
    for (std::uint64_t t = 0; t < 20; ++t) {
      if (t == 9) {
        pruner.visit_state([&](const std::string& name, std::vector<double>& x) { saved[name] = x; });
        values.assign(whole.run.arena.value(), whole.run.arena.value() + whole.run.arena.size());
      }
      train(whole, pruner, t);
    }
    auto again = random_llama<Model>(device, small_llamas()[0].config, {.rank = 2});
    std::copy(values.begin(), values.end(), again.run.arena.value());
    Pruner resumed(again, importance, EMAMask{}, schedule, options);
    resumed.visit_state([&](const std::string& name, std::vector<double>& x) { x = saved.at(name); });
    CHECK(resumed.steps() == 9);
    for (std::uint64_t t = 9; t < 20; ++t) train(again, resumed, t);
    CHECK(bits(again) == bits(whole));
    CHECK(resumed.report().reached == 0.5);
    for (std::size_t g = 0; g < 4; ++g) CHECK(resumed.plan().groups[g].scores == pruner.plan().groups[g].scores);
    CHECK(
        std::equal(again.run.arena.value(), again.run.arena.value() + again.run.arena.size(), whole.run.arena.value()));
  };
  check(TaylorImportance{}, {.every = 4});
  check(FullTaylorImportance{}, {.every = 4, .score_every = 3});
  check(SignedTaylorImportance{}, {.every = 5, .revival = Revival::ema});
  check(TaylorImportance{}, {.every = 3, .ranking = Ranking::global, .revival = Revival::straight_through});

  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
  Pruner pruner(model, RandomImportance{}, EMAMask{}, kNever);
  CHECK_THROWS_WITH_AS(pruner.visit_state([](const std::string& name, std::vector<double>& x) {
    if (name == "pruner.1.channels.alive") x.push_back(1);
  }), doctest::Contains("layer 1 channels"), Error);
}

TEST_CASE("a target that was measured goes on with the run") {
  Cpu<double> device;
  std::map<std::string, std::vector<double>> saved;
  for (const double left : {900.0, 1000.0}) {
    auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
    Pruner pruner(model, RandomImportance{}, EMAMask{}, CubicSchedule{.end = 5}, PrunerOptions{.target = {.left = left}});
    if (saved.empty()) pruner.visit_state([&](const std::string& name, std::vector<double>& x) { saved[name] = x; });
    pruner.visit_state([&](const std::string& name, std::vector<double>& x) { x = saved.at(name); });
    CHECK(pruner.report().target == 900);
    for (int t = 0; t < 5; ++t) pruner.step();
    const PruneReport report = pruner.report();
    compact(model);
    CHECK(double(count_parameters(model)) == report.left);
    CHECK(std::abs(double(count_parameters(model)) - 900) <= report.smallest_step);
  }
}

TEST_CASE("compaction in the middle of a run changes nothing: running scores follow their units") {
  const auto check = [](auto importance, Ranking ranking) {
    std::vector<std::vector<std::vector<int>>> ends;
    std::vector<double> losses;
    for (const bool cut : {false, true}) {
      Cpu<double> device;
      auto model = random_llama<Tiny>(device, small_llamas()[0].config, {.rank = 2});
      Pruner pruner(model, importance, EMAMask{}, LinearSchedule{.begin = 0, .end = 18},
                    PrunerOptions{.every = 3, .ranking = ranking});
      for (std::uint64_t t = 0; t < 20; ++t) {
        const double share = train(model, pruner, t);
        if (cut && t == 9) {  // between two events
          compact(model);
          CHECK(pruner.report().reached == doctest::Approx(share).epsilon(1e-12));
        }
      }
      CHECK(pruner.report().reached == 0.5);
      ends.push_back(kept(pruner));
      losses.push_back(model.loss(TokenBatch(13, {2, 6}, 99)));
      compact(model);
      CHECK(count_parameters(model) == pruner.report().after);
    }
    CHECK(ends[0] == ends[1]);
    CHECK(losses[0] == doctest::Approx(losses[1]).epsilon(1e-10));
  };
  check(TaylorImportance{}, Ranking::local);
  check(RandomImportance{}, Ranking::global);
  check(MagnitudeImportance{}, Ranking::local);
  check(FullTaylorImportance{}, Ranking::local);
  check(SignedTaylorImportance{}, Ranking::global);
}

TEST_CASE("an exact score that missed a step because of a compaction goes on at the next") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, small_llamas()[0].config, {.rank = 2});
  Pruner pruner(model, FullTaylorImportance{}, EMAMask{}, LinearSchedule{.begin = 0, .end = 9},
                PrunerOptions{.every = 3});
  for (std::uint64_t t = 0; t < 10; ++t) {
    train(model, pruner, t);
    if (t == 3) compact(model);
  }
  CHECK(pruner.report().reached == 0.5);
}

TEST_CASE("probes are there only when the next step is scored, and gone with the pruner") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
  const auto watched = [&] { return bool(model.blocks()[0].mlp.up_proj.probe); };
  {
    Pruner pruner(model, SignedTaylorImportance{}, EMAMask{}, CubicSchedule{.begin = 0, .end = 8},
                  PrunerOptions{.every = 8, .score_every = 3});
    const TokenBatch batch(kGrouped.vocab, {2, 6});
    for (Index t = 1; t <= 12; ++t) {
      CHECK(watched() == (t == 3 || t == 6 || t == 8));
      model.evaluate(batch);
      model.loss(batch);
      pruner.step();
    }
    CHECK(pruner.report().reached == 0.5);
  }
  CHECK_FALSE(watched());
  {
    Pruner pruner(model, SignedTaylorImportance{}, EMAMask{}, CubicSchedule{.begin = 0, .end = 8});
    CHECK(watched());
    CHECK_THROWS_WITH_AS(pruner.step(), doctest::Contains("no backward pass"), Error);
  }
  CHECK_FALSE(watched());
}

TEST_CASE("an exact score over micro-batches is fed once a step") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
  Pruner pruner(model, FullTaylorImportance{}, EMAMask{.decay = 0}, kNever,
                PrunerOptions{.normalise = Normalise::none});
  const TokenBatch batch(kGrouped.vocab, {2, 6});
  model.loss(batch);
  pruner.step();
  const auto once = pruner.plan().groups[1].scores;
  for (int i = 0; i < 3; ++i) model.loss(batch);
  pruner.step();
  CHECK(relative_error(pruner.plan().groups[1].scores, once) <= 1e-12);
}

TEST_CASE("normalised over the living, a projection weighs the same whatever its scale") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
  const auto scores = [&](Normalise how) {
    Pruner pruner(model, MagnitudeImportance{}, EMAMask{.decay = 0}, kNever, PrunerOptions{.normalise = how});
    pruner.step();
    return pruner.plan().groups[1].scores;
  };
  const auto alive = scores(Normalise::alive), none = scores(Normalise::none);
  auto& up = model.blocks()[0].mlp.up_proj;
  for (Index i = 0; i < up.weight.size(); ++i) up.weight.view().data[i] *= 1e-20;
  for (Index i = 0; i < up.adapter.b.size(); ++i) up.adapter.b.value.data[i] *= 1e-20;
  CHECK(relative_error(scores(Normalise::alive), alive) <= 1e-12);
  CHECK(relative_error(scores(Normalise::none), none) > 1e-2);
  CHECK(scores(Normalise::automatic) == scores(Normalise::alive));
  // A masked unit no longer counts.
  Bits bits(10, 1);
  bits[2] = 0;
  const auto all = scores(Normalise::all);
  model.blocks()[0].mlp.units.set(device, bits);
  CHECK(scores(Normalise::all) == all);
  CHECK(scores(Normalise::alive) != alive);
}

TEST_CASE("what makes no sense is refused, with what to do") {
  Cpu<double> device;
  auto model = random_llama<Tiny>(device, kGrouped, {.rank = 2});
  const auto refuses = [&](const PrunerOptions& o, const char* why, double sparsity = 0.5) {
    CAPTURE(why);
    CHECK_THROWS_WITH_AS(Pruner(model, RandomImportance{}, EMAMask{}, CubicSchedule{.end = 5, .sparsity = sparsity}, o),
                         doctest::Contains(why), Error);
  };
  refuses({.every = 0}, "every is 0");
  refuses({.round_to = 0}, "round_to is 0");
  refuses({.score_every = 0}, "score_every is 0");
  refuses({}, "sparsity is 1", 1.0);
  refuses({}, "sparsity is -0.1", -0.1);
  refuses({.exclude = {2}}, "layer 2 is excluded");
  refuses({.exclude = {-3}}, "layer -3 is excluded");
  refuses({.exclude = {0, 1}}, "nothing is left");
  refuses({.heads = false, .channels = false}, "nothing is left");
  refuses({.exclude = {0}, .uniform = true}, "no layer can be excluded");
  refuses({.ranking = Ranking::global, .uniform = true}, "use local ranking");
  refuses({.uniform = true, .official = true}, "cannot be uniform");
  refuses({.round_to = 8, .official = true}, "official");
  refuses({.per_cost = true}, "global ranking");
  refuses({.ranking = Ranking::global, .target = {.left = 900, .widths = {{"heads", {0, 1, 2}}}}}, "for nothing");
  refuses({.target = {.budget = MacBudget{}}}, "say how many should be left");
  refuses({.target = {.left = 900}, .of = SparsityOf::all}, "drop one of them");
  refuses({.min_heads = 3}, "3 heads should stay in every layer, but layer 0 has 2");
  refuses({.layer_floor = 1.5}, "layer_floor is 1.5");
  refuses({.layer_floor = 0.8}, "can be reached under these constraints");
  refuses({.target = {.left = 10}}, "cannot be brought to 10");
  refuses({.target = {.left = 900}}, "its sparsity is 0", 0.0);

  auto partial = random_llama<Tiny>(device, kGrouped, {.rank = 2, .targets = {"q_proj"}});
  CHECK_THROWS_WITH_AS(Pruner(partial, TaylorImportance{}, EMAMask{}, CubicSchedule{.end = 5}),
                       doctest::Contains("layer 0 channels"), Error);
  model.blocks()[0].mlp.units.set(device, {0, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  refuses({.uniform = true}, "layer 0 has 9 channels");
}

TEST_CASE("excluded layers keep everything; negative numbers count from the end") {
  Cpu<double> device;
  auto config = kGrouped;
  config.layers = 4;
  auto model = random_llama<Tiny>(device, config, {.rank = 2});
  Pruner pruner(model, RandomImportance{}, EMAMask{}, CubicSchedule{.end = 1}, PrunerOptions{.exclude = {0, -1}});
  CHECK(pruner.step() == 0.5);
  model.groups([&](auto group) { CHECK(group.mask->masked() == (group.layer == 1 || group.layer == 2)); });
}

TEST_CASE("the official preset step by step, against the published rule written out") {
  Cpu<double> device;
  auto config = small_llamas()[0].config;
  config.layers = 3;  // the last one is left alone; the first floor(0.1 L) are none
  auto model = random_llama<Tiny>(device, config, {.rank = 2});
  const auto schedule = CubicSchedule::over(40, 0.5);
  Pruner pruner(model, TaylorImportance{}, EMAMask{.decay = 0.9}, schedule,
                PrunerOptions{.every = 4, .official = true});
  std::vector<std::vector<double>> running(6);
  std::vector<Bits> masks = bits(model);
  for (Index t = 1; t <= 40; ++t) {
    model.loss(TokenBatch(config.vocab, {2, 6}, std::uint64_t(t)));
    model.run.step.clip = 0.5;
    const auto fresh =
        group_scores(model, TaylorImportance{.power = Power::abs, .clipped = true}, Normalise::all, [] {});
    const double s = schedule(t);
    for (std::size_t g = 0; g < 6; ++g) {
      running[g].resize(fresh[g].size());
      for (std::size_t u = 0; u < fresh[g].size(); ++u) running[g][u] = 0.9 * running[g][u] + 0.1 * fresh[g][u];
      if (g >= 4 || t % 4 != 0 || s <= 0 || s >= 0.5) continue;
      std::vector<std::pair<double, std::size_t>> order;
      for (std::size_t u = 0; u < fresh[g].size(); ++u) order.push_back({running[g][u] * masks[g][u], u});
      std::stable_sort(order.begin(), order.end());
      masks[g].assign(masks[g].size(), 1);
      for (std::size_t i = 0; i < std::size_t(double(order.size()) * s); ++i) masks[g][order[i].second] = 0;
    }
    pruner.step();
    REQUIRE(bits(model) == masks);
    for (std::size_t g = 0; g < 6 && t <= 36; ++g)  // once the schedule has ended nobody asks any more
      CHECK(relative_error(pruner.plan().groups[g].scores, running[g]) <= 1e-12);
    for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.value()[i] -= 0.05 * model.run.arena.grad()[i];
    zero_gradients(model);
  }
  CHECK(masks[0] != Bits(4, 1));
  CHECK(pruner.report().reached < 0.5);
}

TEST_CASE("frozen models are pruned by scores that need no adapter") {
  Cpu<double> device;
  auto model = random_llama<Llama<Cpu<double>, Frozen>>(device, kGrouped, {});
  const TokenBatch batch(kGrouped.vocab, {2, 6});
  Pruner pruner(model, FullTaylorImportance{}, EMAMask{}, CubicSchedule{.end = 1});
  model.loss(batch);
  CHECK(pruner.step() == 0.5);
}
