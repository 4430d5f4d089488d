// SPDX-License-Identifier: MIT
// Published counts, from the shapes alone: nothing of a weight's size is ever allocated.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/meta.hpp>
#include <espalier/model/llama.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/pruner.hpp>

#include "allocations.hpp"
#include "oracle_numbers.hpp"

using namespace espalier;
using Device = Meta<float>;
template <template <class> class Adapter>
using Model = Llama<Device, Adapter>;

namespace {

const LlamaConfig kLlama7B{};
const LlamaConfig kLlama3_8B{.vocab = 128256, .groups = 8, .feed_forward = 14336};
const LlamaConfig kTinyLlama{.hidden = 2048, .layers = 22, .groups = 4, .head_dim = 64, .feed_forward = 5632};

/// All layers but first … last.
std::vector<Index> all_but(Index layers, Index first, Index last) {
  std::vector<Index> out;
  for (Index l = 0; l < layers; ++l)
    if (l < first || l > last) out.push_back(l);
  return out;
}

/// Prunes at once, compacts, and counts the tensors.
Index left_after(const LlamaConfig& config, double sparsity, const PrunerOptions& options,
                 PruneReport* report = nullptr) {
  Device device;
  Model<Frozen> model(device, config);
  const Index dense = count_parameters(model);
  Index left = 0;
  PruneReport said;
  {
    Pruner pruner(model, MagnitudeImportance{}, EMAMask{}, CubicSchedule{.begin = 0, .end = 1, .sparsity = sparsity},
                  options);
    pruner.step();
    said = pruner.report();
    if (report != nullptr) *report = said;
    left = said.after;
  }
  compact(model);
  CHECK(count_parameters(model) == left);
  CHECK(said.before == dense);
  CHECK(dense - count_parameters(model) == said.removed);  // of which a share is what was reached
  CHECK(said.reached == double(said.removed) / double(said.prunable));
  return left;
}

}  // namespace

TEST_CASE("dense models have as many parameters as is published, and none is allocated") {
  const long before = test::allocated_bytes;
  Device device;
  CHECK(Model<Frozen>(device, kLlama7B).config.layers == 32);
  Model<Frozen> big(device, kLlama7B), three(device, kLlama3_8B), tiny(device, kTinyLlama);
  CHECK(count_parameters(big) == 6'738'415'616);
  const auto& published = test::oracle_numbers()["accounting"]["llama7b"];
  CHECK(count_parameters(big) == published["params_total"].get<Index>());
  Index linear = 0;
  for_each_projection(big.blocks()[0], [&](const std::string&, auto& p) { linear += p.out() * p.in(); });
  CHECK(linear == published["params_per_block_linear"].get<Index>());
  CHECK(count_parameters(three) == 8'030'261'248);
  CHECK(count_parameters(tiny) == 1'100'048'384);
  CHECK(test::allocated_bytes - before < 64 << 20);
}

TEST_CASE("the official preset at 50 % takes 15 of 32 heads and 5503 of 11008 channels from 28 of 32 layers") {
  const long before = test::allocated_bytes;
  Device device;
  Model<LowRankAdapter> model(device, kLlama7B, {.rank = 8});
  {
    Pruner pruner(model, TaylorImportance{}, EMAMask{}, CubicSchedule::over(390, 0.5), PrunerOptions{.official = true});
    Index last_change = 0, excluded_blocks = 0;
    for (Index t = 1, removed = 0; t <= 390; ++t) {
      pruner.step();
      if (pruner.report().removed != removed) last_change = t, removed = pruner.report().removed;
    }
    CHECK(last_change == 340);  // the last event, at 350, moves no count
    for (const PlanGroup& g : pruner.plan().groups) {
      const bool excluded = g.layer < 3 || g.layer == 31;
      CHECK(Index(g.kept.size()) == (excluded ? g.full : g.kind == "heads" ? 17 : 5505));
      excluded_blocks += g.kind == "heads" && Index(g.kept.size()) == g.full;
    }
    CHECK(excluded_blocks ==
          test::oracle_numbers()["accounting"]["llama7b"]["blocks_not_pruned_by_official_freeze"].get<Index>());
  }
  compact(model);
  CHECK(count_parameters(model) == 6'738'415'616 - 2'774'188'032);
  CHECK(double(2'774'188'032) / 6'738'415'616 ==
        test::oracle_numbers()["accounting"]["llama7b"]["same_with_15_of_32_heads"].get<double>());
  CHECK(test::allocated_bytes - before < long(512) << 20);  // bits and scores of units, never a weight
}

TEST_CASE("for T = 100 the official preset takes 15 of 32 heads and 5493 of 11008 channels") {
  Device device;
  Model<LowRankAdapter> model(device, kLlama7B, {.rank = 8});
  Pruner pruner(model, TaylorImportance{}, EMAMask{}, CubicSchedule::over(100, 0.5), PrunerOptions{.official = true});
  std::vector<double> events;
  double share = 0;
  for (Index t = 0; t < 100; ++t)
    if (const double now = pruner.step(); now != share) events.push_back(double(pruner.steps())), share = now;
  CHECK(events == test::numbers(test::oracle_numbers()["schedule"]["official_prune_steps_freq10"]));
  for (const PlanGroup& g : pruner.plan().groups)
    if (g.layer == 15) CHECK(Index(g.kept.size()) == (g.kind == "heads" ? 17 : 11008 - 5493));
}

TEST_CASE("exactly half of heads and channels of the same 28 layers") {
  PruneReport report;
  const Index left = left_after(kLlama7B, 0.5, {.exclude = {0, 1, 2, -1}}, &report);
  CHECK(left == 6'738'415'616 - 2'833'252'352);
  CHECK(double(6'738'415'616 - left) / 6'738'415'616 ==
        test::oracle_numbers()["accounting"]["llama7b"]["fraction_of_all_parameters_removed_at_nominal_0.5"].get<double>());
  CHECK(report.reached == 0.5);
  CHECK(report.asked == 0.5);
  CHECK(report.before == 6'738'415'616);
}

TEST_CASE("LLM-Pruner's rule, a quarter of heads and channels of some blocks") {
  CHECK(left_after(kLlama7B, 0.25, {.exclude = all_but(32, 4, 29)}) == 5'422'977'024);
  CHECK(left_after(kLlama3_8B, 0.25, {.exclude = all_but(32, 4, 29)}) == 6'612'586'496);
  CHECK(left_after(kTinyLlama, 0.25, {.exclude = all_but(22, 4, 17)}) == 945'907'712);
}

TEST_CASE(
    "adapters of rank 4 on q and v of a model as wide and deep as GPT-3: 9,285 times fewer trainable parameters") {
  Device device;
  const LlamaConfig gpt3{.vocab = 50257, .hidden = 12288, .layers = 96, .heads = 96, .groups = 96, .head_dim = 128,
                         .feed_forward = 49152};
  Model<LowRankAdapter> model(device, gpt3, {.rank = 4, .targets = {"q_proj", "v_proj"}});
  const auto& published = test::oracle_numbers()["accounting"]["lora_gpt3"];
  CHECK(count_trainable(model) == 18'874'368);
  CHECK(count_trainable(model) == published["trainable_r4_q_v"].get<Index>());
  const double all = 175255.8e6;  // table 4 of LoRA's paper
  CHECK(all / double(count_trainable(model)) == published["reduction_factor"].get<double>());
  Model<LowRankAdapter> least(device, gpt3, {.rank = 1, .targets = {"q_proj", "v_proj"}});
  CHECK(count_trainable(least) == published["trainable_r1_q_v"].get<Index>());
  CHECK(all / double(count_trainable(least)) == published["reduction_factor_r1"].get<double>());
}

TEST_CASE("a target in parameters is met within the smallest step, whatever the constraints") {
  for (const auto& [name, options] :
       {std::pair<const char*, PrunerOptions>{"local", {}},
        {"rounded", {.round_to = 32}},
        {"global", {.ranking = Ranking::global}},
        {"uniform", {.uniform = true}},
        {"uniform and rounded", {.round_to = 64, .uniform = true}},
        {"without the ends", {.exclude = {0, -1}}},
        {"channels only", {.heads = false}},
        {"heads only", {.channels = false}},
        {"per cost", {.ranking = Ranking::global, .per_cost = true}}}) {
    for (const Index target : {Index{1'000'000'000}, Index{777'777'777}}) {
      const std::string where = name;
      CAPTURE(where);
      if (!options.channels && target < 944'334'848) continue;  // more than all heads
      PrunerOptions o = options;
      o.target.left = double(target);
      PruneReport report;
      const Index left = left_after(kTinyLlama, 0.5, o, &report);
      CHECK(double(std::abs(left - target)) <= report.smallest_step);
      CHECK(report.smallest_step > 0);
      CHECK(std::abs(report.asked - report.reached) <= report.step);
    }
  }
}

TEST_CASE("a share is met within the smallest step, whatever the constraints") {
  for (const auto& [name, options] :
       {std::pair<const char*, PrunerOptions>{"local", {}},
        {"rounded", {.round_to = 32}},
        {"global", {.ranking = Ranking::global}},
        {"uniform", {.uniform = true}},
        {"without the ends", {.exclude = {0, -1}}},
        {"per cost", {.ranking = Ranking::global, .per_cost = true}}})
    for (const double share : {0.5, 0.3, 0.61}) {
      const std::string where = name;
      CAPTURE(where);
      CAPTURE(share);
      PruneReport report;
      left_after(kLlama7B, share, options, &report);
      CHECK(std::abs(report.asked - report.reached) <= report.step);
      CHECK(report.asked == share);
    }
}

TEST_CASE("a target that cannot be met is refused, with what could be") {
  Device device;
  Model<Frozen> model(device, kTinyLlama);
  const auto ask = [&](Index target) {
    Pruner pruner(model, MagnitudeImportance{}, EMAMask{}, CubicSchedule{}, PrunerOptions{.target = {.left = double(target)}});
  };
  CHECK_THROWS_WITH_AS(ask(100'000'000), doctest::Contains("cannot be brought to 100000000"), Error);
  CHECK_THROWS_AS(ask(2'000'000'000), Error);
}

TEST_CASE("a plan counts what is left without a run") {
  Device device;
  Model<Frozen> model(device, kLlama7B);
  Plan plan;
  for (Index l = 3; l < 31; ++l) {
    PlanGroup heads{"heads", l, 32, {}, {}}, channels{"channels", l, 11008, {}, {}};
    for (int u = 0; u < 17; ++u) heads.kept.push_back(u);
    for (int u = 0; u < 5505; ++u) channels.kept.push_back(u);
    plan.groups.push_back(heads), plan.groups.push_back(channels);
  }
  CHECK(count_after(model, plan) == 6'738'415'616 - 2'774'188'032);
}
