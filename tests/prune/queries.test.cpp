// SPDX-License-Identifier: MIT
// Query heads within their key-value heads: a unit is one query head, and key-value heads stay.
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/pruner.hpp>

#include "llamas.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

using Device = Cpu<double>;
using Bits = std::vector<std::uint8_t>;

LlamaConfig grouped(Index heads = 6, Index groups = 2) {
  return {.vocab = 13, .hidden = 8, .layers = 2, .heads = heads, .groups = groups, .head_dim = 4, .feed_forward = 10};
}
template <class Model>
std::vector<double> logits(Model& model, const TokenBatch& batch) {
  const auto x = model.logits(batch.tokens, batch.shape);
  return std::vector<double>(x.begin(), x.end());
}
template <class Model>
std::vector<double> gradients(Model& model, const TokenBatch& batch, bool whole) {
  for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] = 0;
  std::vector<double> all{double(model.loss(batch))};
  for_each_parameter(model, [&](const std::string& path, auto& p) {
    const bool changes = path.find("q_proj.lora_B") != std::string::npos || path.find("o_proj.lora_A") != std::string::npos ||
                         path.find("q_proj.lora_A.sequential") != std::string::npos;
    if (changes && !whole) return;
    for (Index i = 0; i < p.rows; ++i)
      for (Index j = 0; j < p.cols; ++j) all.push_back(p.grad(i, j));
  });
  return all;
}
/// Not the same number of every key-value head.
const Bits uneven{1, 0, 1, 0, 0, 1}, even{0, 1, 0, 1, 0, 0};

/// A magnitude that the test computes itself: Σ of squares of q rows and o columns, and those of k and v are not looked at.
template <class Model>
std::vector<double> by_hand(Model& model, std::size_t layer) {
  auto& at = model.blocks()[layer].self_attn;
  std::vector<double> score(std::size_t(at.heads()));
  const auto q = at.q_proj.weight.view(), o = at.o_proj.weight.view();
  const auto d = at.head_dim();
  for (Index h = 0; h < at.heads(); ++h)
    for (Index i = 0; i < d; ++i)
      for (Index j = 0; j < q.cols(); ++j)
        score[std::size_t(h)] += std::abs(q(h * d + i, j)) + std::abs(o(j, h * d + i));
  return score;
}

}  // namespace

TEST_CASE("masked, compacted and zeroed by hand compute the same function, also where key-value heads keep different numbers") {
  for (const bool norms : {false, true})
    for (const Bits& bits : {uneven, even}) {
      Device device;
      LlamaConfig config = grouped();
      config.qk_norm = norms, config.qkv_bias = !norms;
      auto model = random_llama<Llama<Device, LowRankAdapter>>(device, config, {.rank = 2});
      auto zeroed = random_llama<Llama<Device, LowRankAdapter>>(device, config, {.rank = 2});
      const TokenBatch batch(config.vocab, {2, 40});
      const auto dense = logits(model, batch);
      model.prune_by(Granularity::queries);
      CHECK(logits(model, batch) == dense);
      model.groups([&](auto group) {
        if (group.kind != "queries") return;
        CHECK(group.units() == 6);
        group.mask->set(device, group.layer == 0 ? bits : Bits{1, 1, 1, 1, 0, 1});
      });
      const auto masked = logits(model, batch);
      CHECK(relative_error(masked, dense) > 1e-3);
      for (std::size_t l = 0; l < 2; ++l) {
        auto& o = zeroed.blocks()[l].self_attn.o_proj;
        for (Index h = 0; h < 6; ++h)
          for (Index j = h * 4; j < h * 4 + 4; ++j) {
            if (model.blocks()[l].self_attn.units.alive()[std::size_t(h)]) continue;
            for (Index i = 0; i < o.out(); ++i) o.weight.view()(i, j) = 0;
            for (Index i = 0; i < 2; ++i) o.adapter.a.value(i, j) = 0;
          }
      }
      CHECK(relative_error(logits(zeroed, batch), masked) <= 1e-12);
      const auto before = gradients(model, batch, false);
      const Index parameters = count_parameters(model);
      compact(model);
      CHECK(model.blocks()[0].self_attn.heads() == std::count(bits.begin(), bits.end(), 1));
      CHECK(model.blocks()[0].self_attn.groups() == 2);
      const Index per_head = 4 * (8 + (norms ? 0 : 1)) + 4 * 8;
      CHECK(parameters - count_parameters(model) == per_head * (6 - std::count(bits.begin(), bits.end(), 1) + 1));
      CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
      CHECK(relative_error(gradients(model, batch, false), before) <= 1e-12);
      model.groups([&](auto group) {  // and once more, by their first numbers
        if (group.kind == "queries" && group.layer == 1) group.mask->set(device, {1, 0, 1, 1, 1});
      });
      const auto again = logits(model, batch);
      compact(model);
      CHECK(relative_error(logits(model, batch), again) <= 1e-12);
      CHECK(model.blocks()[1].self_attn.units.origin() == std::vector<int>{0, 2, 3, 5});
    }
}

TEST_CASE("the score of a query head is that of its rows of q and its columns of o") {
  Device device;
  auto model = random_llama<Llama<Device, LowRankAdapter>>(device, grouped(), {.rank = 2});
  for_each_parameter(model, [&](const std::string&, auto& p) {
    for (Index i = 0; i < p.rows; ++i)
      for (Index j = 0; j < p.cols; ++j) p.value(i, j) = 0;
  });
  for (const bool stay_even : {true, false}) {
    auto fresh = random_llama<Llama<Device, LowRankAdapter>>(device, grouped(), {.rank = 2});
    for_each_parameter(fresh, [&](const std::string&, auto& p) {
      for (Index i = 0; i < p.rows; ++i)
        for (Index j = 0; j < p.cols; ++j) p.value(i, j) = 0;
    });
    std::vector<std::vector<double>> scores{by_hand(fresh, 0), by_hand(fresh, 1)};
    Pruner pruner(fresh, MagnitudeImportance{}, EMAMask{.decay = 0}, CubicSchedule{.begin = 0, .end = 1, .sparsity = 0.5},
                  {.granularity = Granularity::queries, .every = 1, .normalise = Normalise::none, .channels = false, .even = stay_even});
    pruner.step();
    const Plan plan = pruner.plan();
    for (const PlanGroup& g : plan.groups) {
      if (g.kind != "queries") continue;
      const auto& expected = scores[std::size_t(g.layer)];
      CHECK(relative_error(g.scores, expected) <= 1e-12);
      // Brute force: of all sets of three (even: rounded to two or four) that are allowed, the one with the highest sum.
      double best = -1;
      std::vector<int> kept;
      for (unsigned set = 0; set < 64; ++set) {
        int low = 0, high = 0;
        double sum = 0;
        std::vector<int> mine;
        for (int u = 0; u < 6; ++u)
          if (set >> u & 1u) (u < 3 ? low : high)++, sum += expected[std::size_t(u)], mine.push_back(u);
        if (low == 0 || high == 0 || Index(mine.size()) != Index(g.kept.size()) || (stay_even && low != high)) continue;
        if (sum > best) best = sum, kept = mine;
      }
      CHECK(g.kept == kept);
      CHECK((stay_even ? g.kept.size() == 2 || g.kept.size() == 4 : g.kept.size() == 3));
    }
    const PruneReport report = pruner.report();
    Index removed = 0;
    for (const PlanGroup& g : plan.groups)
      if (g.kind == "queries") removed += (g.full - Index(g.kept.size())) * 4 * 16;
    CHECK(report.removed == removed);
    CHECK(report.prunable == 2 * 6 * 4 * 16);
    compact(fresh);
    CHECK(count_parameters(fresh) == report.after);
  }
}

TEST_CASE("under global ranking a block of an even layer is a query head of each key-value head") {
  Device device;
  auto model = random_llama<Llama<Device, LowRankAdapter>>(device, grouped(8, 2), {.rank = 2});
  const Index dense = count_parameters(model);
  for (const Index target : {dense - 4 * 64, dense - 6 * 64, dense - 12 * 64}) {
    auto fresh = random_llama<Llama<Device, LowRankAdapter>>(device, grouped(8, 2), {.rank = 2});
    Pruner pruner(fresh, MagnitudeImportance{}, EMAMask{.decay = 0}, CubicSchedule{.begin = 0, .end = 1, .sparsity = 0.5},
                  {.granularity = Granularity::queries, .every = 1, .ranking = Ranking::global, .channels = false,
                   .target = {.left = double(target)}});
    pruner.step();
    CHECK(pruner.report().after == target);
    fresh.groups([&](auto group) {
      if (group.kind != "queries") return;
      Index low = 0, high = 0;
      for (std::size_t u = 0; u < 8; ++u) (u < 4 ? low : high) += group.mask->alive()[u];
      CHECK(low == high);
      CHECK(low >= 1);
    });
    compact(fresh);
    CHECK(count_parameters(fresh) == target);
  }
  CHECK(count_parameters(model) == dense);
}

TEST_CASE("multiplications of attention are those of the query heads that are left") {
  Device device;
  auto model = random_llama<Llama<Device, LowRankAdapter>>(device, grouped(), {.rank = 2});
  const MacBudget macs{.positions = 10};
  const double dense = macs.count(model);
  model.prune_by(Granularity::queries);
  CHECK(macs.count(model) == dense);
  const auto prices = macs.prices(model);
  CHECK(prices.front() == 4 * 16 + 2 * 10 * 4);
  model.blocks()[0].self_attn.units.set(device, uneven);
  compact(model);
  CHECK(macs.count(model) == dense - 3 * prices.front());
}

TEST_CASE("what cannot be is refused by name") {
  Device device;
  using Model = Llama<Device, LowRankAdapter>;
  auto each_its_own = random_llama<Model>(device, grouped(4, 4), {.rank = 2});
  CHECK_THROWS_WITH_AS(each_its_own.prune_by(Granularity::queries), doctest::Contains("granularity groups"), Error);
  auto model = random_llama<Model>(device, grouped(), {.rank = 2});
  model.blocks()[0].mlp.units.set(device, {0, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  CHECK_THROWS_WITH_AS(model.prune_by(Granularity::queries), doctest::Contains("layer 0 channels"), Error);
  auto other = random_llama<Model>(device, grouped(), {.rank = 2});
  CHECK_THROWS_WITH_AS((Pruner(other, MagnitudeImportance{}, EMAMask{}, CubicSchedule{},
                               {.granularity = Granularity::queries, .even = false, .uniform = true})),
                       doctest::Contains("let them stay even"), Error);
}
