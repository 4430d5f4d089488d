// SPDX-License-Identifier: MIT
// The law of every group: the masked and the compacted model compute the same function.
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>

#include "llamas.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

using Bits = std::vector<std::uint8_t>;

/// About half of every group's units, never all of them, differently in every group.
template <class Model>
void mask_some(Model& model, std::uint64_t seed = 3) {
  model.groups([&](auto group) {
    const RandomStream stream{seed, Purpose::test, std::uint32_t(group.layer), group.kind == "heads" ? 0u : 1u};
    Bits alive(std::size_t(group.units()));
    for (std::size_t u = 0; u < alive.size(); ++u) alive[u] = stream.uniform(u) > 0.5;
    alive[alive.size() / 2] = 1;
    if (alive.size() > 1) alive[0] = 0;
    group.mask->set(*model.run.device, alive);
  });
}

/// What becomes of a parameter's numbers: the same rows and columns that leave the weights.
struct Survivors {
  std::vector<int> rows, columns;  // empty: all
  template <class V>
  std::vector<double> of(V x) const {
    std::vector<double> out;
    for (Index i = 0; i < (rows.empty() ? x.rows() : Index(rows.size())); ++i)
      for (Index j = 0; j < (columns.empty() ? x.cols() : Index(columns.size())); ++j)
        out.push_back(
            double(x(rows.empty() ? i : rows[std::size_t(i)], columns.empty() ? j : columns[std::size_t(j)])));
    return out;
  }
};
template <class Model>
std::vector<std::pair<const void*, Survivors>> survivors(Model& model) {
  std::vector<std::pair<const void*, Survivors>> out;
  model.groups([&](auto group) {
    for (auto& s : group.slices) {
      std::vector<int> kept;
      for (Index u = 0; u < group.units(); ++u)
        for (Index j = 0; j < s.width && group.mask->alive()[std::size_t(u)]; ++j) kept.push_back(int(u * s.width + j));
      Survivors who;
      (s.axis == Axis::rows ? who.rows : who.columns) = kept;
      out.push_back({s.axis == Axis::rows ? &s.projection->adapter.b : &s.projection->adapter.a, who});
    }
  });
  return out;
}

/// Gradients, or moments, of everything that survives.
template <class Model, class Numbers>
std::vector<double> surviving(Model& model, const std::vector<std::pair<const void*, Survivors>>& who,
                              Numbers&& numbers) {
  std::vector<double> all;
  for_each_parameter(model, [&](const std::string&, auto& p) {
    Survivors mine;
    for (const auto& [at, s] : who)
      if (at == &p) mine = s;
    const auto some = mine.of(numbers(p));
    all.insert(all.end(), some.begin(), some.end());
  });
  return all;
}

template <class Model>
std::vector<double> logits(Model& model, const TokenBatch& batch) {
  const auto x = model.logits(batch.tokens, batch.shape);
  return std::vector<double>(x.begin(), x.end());
}

}  // namespace

TEST_CASE_TEMPLATE("masked and compacted compute the same function and the same gradients", Device, Oracle<double>,
                   Cpu<double>) {
  using Model = Llama<Device, LowRankAdapter>;
  for (const auto& [name, config] : small_llamas()) {
    const std::string where = name;
    CAPTURE(where);
    Device device;
    auto model = random_llama<Model>(device, config, {.rank = 3});
    const TokenBatch batch(config.vocab, {2, 6});
    const auto dense = logits(model, batch);
    mask_some(model);
    const auto masked = logits(model, batch);
    CHECK(relative_error(masked, dense) > 1e-3);

    const auto zero = [&] {
      for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] = 0;
    };
    zero();
    const double loss = model.loss(batch);
    const auto who = survivors(model);
    const auto gradients = surviving(model, who, [](auto& p) { return p.grad; });
    double norm = 0;
    for (const double g : gradients) norm += g * g;
    CHECK(norm > 1e-6);

    const Index before = count_parameters(model);
    Index leaving = 0;
    model.groups([&](auto group) {
      for (const auto bit : group.mask->alive()) leaving += bit ? 0 : group.cost();
    });
    compact(model);
    CHECK(leaving > 0);
    CHECK(count_parameters(model) == before - leaving);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
    // The gradients came along ...
    CHECK(surviving(model, {}, [](auto& p) { return p.grad; }) == gradients);
    // ... and are what backward computes now.
    zero();
    CHECK(double(model.loss(batch)) == doctest::Approx(loss).epsilon(1e-12));
    CHECK(relative_error(surviving(model, {}, [](auto& p) { return p.grad; }), gradients) <= 1e-12);
    model.groups([&](auto group) { CHECK_FALSE(group.mask->masked()); });
  }
}

TEST_CASE_TEMPLATE("a merged, a frozen and a twice compacted model obey the same law", Device, Oracle<double>,
                   Cpu<double>) {
  for (const auto& [name, config] : small_llamas()) {
    const std::string where = name;
    CAPTURE(where);
    const TokenBatch batch(config.vocab, {1, 7});
    Device device;
    auto model = random_llama<Llama<Device, LowRankAdapter>>(device, config, {.rank = 2});
    mask_some(model);
    const auto masked = logits(model, batch);
    merge(model);
    compact(model);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
    unmerge(model);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
    mask_some(model, 4);
    const auto again = logits(model, batch);
    compact(model);
    CHECK(relative_error(logits(model, batch), again) <= 1e-12);
    compact(model);  // nothing is masked any more: nothing happens
    CHECK(relative_error(logits(model, batch), again) <= 1e-12);

    auto frozen = random_llama<Llama<Device, Frozen>>(device, config, {});
    mask_some(frozen);
    const auto before = logits(frozen, batch);
    compact(frozen);
    CHECK(relative_error(logits(frozen, batch), before) <= 1e-12);
  }
}

TEST_CASE("moments leave with their parameters") {
  using Model = Llama<Cpu<double>, LowRankAdapter>;
  Cpu<double> device;
  auto model = random_llama<Model>(device, small_llamas()[1].config, {.rank = 2});
  for (int k = 0; k < 2; ++k) fill(model.run.arena.moment(device, k), model.run.arena.size(), std::uint64_t(50 + k));
  mask_some(model);
  const auto who = survivors(model);
  std::vector<std::vector<double>> before;
  const auto moment = [&](int k) {
    return [&, k](auto& p) { return matrix(model.run.arena.moment(device, k) + p.offset, p.rows, p.cols); };
  };
  for (int k = 0; k < 2; ++k) before.push_back(surviving(model, who, moment(k)));
  const Index size = model.run.arena.size();
  compact(model);
  CHECK(model.run.arena.size() < size);
  REQUIRE(model.run.arena.moments() == 2);
  for (int k = 0; k < 2; ++k) CHECK(surviving(model, {}, moment(k)) == before[std::size_t(k)]);
}

TEST_CASE_TEMPLATE("compaction does not shift dropout", Device, Oracle<double>, Cpu<double>) {
  Device device;
  const auto config = small_llamas()[1].config;
  auto model = random_llama<Llama<Device, LowRankAdapter>>(device, config, {.rank = 2, .dropout = 0.3});
  const TokenBatch batch(config.vocab, {2, 6});
  mask_some(model);
  const double masked = model.loss(batch), still = model.evaluate(batch);
  CHECK(std::abs(masked - still) > 1e-6);  // dropout is on
  compact(model);
  CHECK(double(model.loss(batch)) == doctest::Approx(masked).epsilon(1e-12));
  mask_some(model, 5);
  const double again = model.loss(batch);
  compact(model);
  CHECK(double(model.loss(batch)) == doctest::Approx(again).epsilon(1e-12));
}

TEST_CASE("weights in bf16 are moved, not rounded") {
  using Device = Cpu<float, BFloat16>;
  Device device;
  const auto config = small_llamas()[4].config;
  auto model = random_llama<Llama<Device, LowRankAdapter>>(device, config, {.rank = 2});
  mask_some(model);
  const TokenBatch batch(config.vocab, {2, 6});
  const auto masked = logits(model, batch);
  const auto weight = model.blocks()[0].mlp.up_proj.weight.view();
  std::vector<BFloat16> kept;
  for (Index u = 0; u < weight.rows(); ++u)
    for (Index j = 0; j < weight.cols(); ++j)
      if (model.blocks()[0].mlp.units.alive()[std::size_t(u)]) kept.push_back(weight(u, j));
  compact(model);
  const auto left = model.blocks()[0].mlp.up_proj.weight.view();
  CHECK(std::vector<BFloat16>(left.data, left.data + left.size()) == kept);
  CHECK(relative_error(logits(model, batch), masked) <= 1e-5);
}

TEST_CASE("a group cannot lose its last unit") {
  Cpu<double> device;
  auto model = random_llama<Llama<Cpu<double>, LowRankAdapter>>(device, small_llamas()[0].config, {.rank = 2});
  auto& mask = model.blocks()[1].self_attn.units;
  mask.set(device, Bits(mask.alive().size(), 0));
  CHECK_THROWS_WITH_AS(compact(model), doctest::Contains("layer 1 heads"), Error);
}

TEST_CASE("a plan says which units stay by their first numbers, also after a compaction") {
  using Model = Llama<Cpu<double>, LowRankAdapter>;
  Cpu<double> device;
  const auto config = small_llamas()[1].config;
  auto model = random_llama<Model>(device, config, {.rank = 2});
  const Plan plan{{{"channels", 1, config.feed_forward, {0, 2, 9}, {}}}, {}};
  apply(model, plan);
  CHECK(model.blocks()[1].mlp.units.alive() == Bits{1, 0, 1, 0, 0, 0, 0, 0, 0, 1});
  CHECK_FALSE(model.blocks()[0].mlp.units.masked());
  compact(model);
  apply(model, {{{"channels", 1, config.feed_forward, {2, 9}, {}}}, {}});
  CHECK(model.blocks()[1].mlp.units.alive() == Bits{0, 1, 1});
  CHECK_THROWS_WITH_AS(apply(model, {{{"channels", 7, 10, {0}, {}}}, {}}), doctest::Contains("layer 7"), Error);
  CHECK_THROWS_AS(apply(model, {{{"channels", 1, 11, {0}, {}}}, {}}), Error);
  CHECK_THROWS_AS(apply(model, {{{"channels", 1, 10, {10}, {}}}, {}}), Error);
}
