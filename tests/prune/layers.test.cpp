// SPDX-License-Identifier: MIT
// Whole layers: a unit is a block. Masked it adds nothing to the residual stream, compacted it is gone.
#include <doctest/doctest.h>
#include <espalier/adapter/sequential.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/pruner.hpp>

#include <espalier/model/gpt2.hpp>
#include "llamas.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

using Device = Cpu<double>;
using Model = Llama<Device, LowRankAdapter>;
using Bits = std::vector<std::uint8_t>;

template <class M>
void mask(M& model, const Bits& bits) {
  model.groups([&](auto group) {
    CHECK(group.kind == "layers");
    group.mask->set(*model.run.device, bits);
  });
}
template <class M>
std::vector<double> logits(M& model, const TokenBatch& batch) {
  const auto x = model.logits(batch.tokens, batch.shape);
  return std::vector<double>(x.begin(), x.end());
}
/// Loss and gradients of the layers that stay.
template <class M>
std::vector<double> gradients(M& model, const TokenBatch& batch, const std::vector<std::string>& without) {
  for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] = 0;
  std::vector<double> all{double(model.loss(batch))};
  for_each_parameter(model, [&](const std::string& path, auto& p) {
    for (const std::string& l : without)
      if (path.find(l) != std::string::npos) {
        for (Index i = 0; i < p.rows; ++i)
          for (Index j = 0; j < p.cols; ++j) CHECK(p.grad(i, j) == 0);
        return;
      }
    for (Index i = 0; i < p.rows; ++i)
      for (Index j = 0; j < p.cols; ++j) all.push_back(p.grad(i, j));
  });
  return all;
}
LlamaConfig four_layers(LlamaConfig c) {
  c.layers = 4;
  return c;
}

}  // namespace

TEST_CASE("masked, compacted and made without those layers are one function with one gradient") {
  for (const auto& [name, small] : small_llamas()) {
    const std::string where = name;
    CAPTURE(where);
    Device device;
    const auto config = four_layers(small);
    auto model = random_llama<Model>(device, config, {.rank = 2, .dropout = 0.2});
    const TokenBatch batch(config.vocab, {2, 6});
    const auto dense = logits(model, batch);
    model.prune_by(Granularity::layers);
    CHECK(relative_error(logits(model, batch), dense) <= 1e-15);
    mask(model, {0, 1, 0, 1});
    const auto masked = logits(model, batch);
    CHECK(relative_error(masked, dense) > 1e-3);
    const auto before = gradients(model, batch, {"layers.0.", "layers.2."});
    const Index parameters = count_parameters(model);
    Index cost = 0;
    model.groups([&](auto group) { cost = group.cost(); });
    compact(model);
    CHECK(model.blocks().size() == 2);
    CHECK(model.config.layers == 2);
    CHECK(count_parameters(model) == parameters - 2 * cost);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
    CHECK(relative_error(gradients(model, batch, {}), before) <= 1e-12);
    CHECK(model.first_name("model.layers.1.mlp.up_proj.weight") == "model.layers.3.mlp.up_proj.weight");
    mask(model, {1, 0});  // and once more
    const auto again = logits(model, batch);
    compact(model);
    CHECK(relative_error(logits(model, batch), again) <= 1e-12);
    CHECK(model.first_name("model.layers.0.mlp.up_proj.weight") == "model.layers.1.mlp.up_proj.weight");
    compact(model);
    CHECK(model.blocks().size() == 1);
  }
}

TEST_CASE("moments stay with their layers, also where adapters stand behind the weight") {
  Device device;
  using Behind = Llama<Device, SequentialAdapter>;
  auto model = random_llama<Behind>(device, four_layers(small_llamas()[1].config), {.rank = 2});
  model.prune_by(Granularity::layers);
  for (int k = 0; k < 2; ++k) fill(model.run.arena.moment(device, k), model.run.arena.size(), std::uint64_t(50 + k));
  const auto moments = [&](const std::vector<std::string>& of) {
    std::vector<double> all;
    for_each_parameter(model, [&](const std::string& path, auto& p) {
      for (const std::string& l : of)
        if (path.find(l) != std::string::npos)
          for (int k = 0; k < 2; ++k) all.insert(all.end(), model.run.arena.moment(device, k) + p.offset, model.run.arena.moment(device, k) + p.offset + p.size());
    });
    return all;
  };
  const auto before = moments({"layers.1.", "layers.2."});
  CHECK(before.size() > 100);
  const TokenBatch batch(13, {2, 6});
  mask(model, {0, 1, 1, 0});
  const auto masked = logits(model, batch);
  compact(model);
  CHECK(moments({"layers.0.", "layers.1."}) == before);
  CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
}

TEST_CASE("a layer's score is the sum of those of its heads and channels, the lowest leave, and one stays") {
  Device device;
  const auto config = four_layers(small_llamas()[3].config);
  auto model = random_llama<Model>(device, config, {.rank = 2});
  for_each_parameter(model, [&](const std::string& path, auto& p) {  // nothing but the weights
    for (Index i = 0; i < p.rows * p.cols; ++i)
      if (path.find("lora_B") != std::string::npos) p.value.data[i] = 0;
  });
  std::vector<double> expected(4);
  for_each_projection(model, [&](const std::string& path, auto& p) {
    const auto w = p.weight.view();
    for (Index i = 0; i < w.rows(); ++i)
      for (Index j = 0; j < w.cols(); ++j) expected[std::size_t(path[13] - '0')] += std::abs(w(i, j));
  });
  const Index dense = count_parameters(model);
  Pruner pruner(model, MagnitudeImportance{}, EMAMask{.decay = 0}, CubicSchedule{.begin = 0, .end = 1, .sparsity = 0.5},
                {.granularity = Granularity::layers, .every = 1, .exclude = {-1}});
  pruner.step();
  const Plan plan = pruner.plan();
  REQUIRE(plan.groups.size() == 1);
  CHECK(plan.groups[0].layer == -1);
  CHECK(relative_error(plan.groups[0].scores, expected) <= 1e-12);
  std::vector<int> order{0, 1, 2};
  std::sort(order.begin(), order.end(), [&](int a, int b) { return expected[std::size_t(a)] > expected[std::size_t(b)]; });
  std::vector<int> kept{order[0], 3};
  std::sort(kept.begin(), kept.end());
  CHECK(plan.groups[0].kept == kept);
  const PruneReport report = pruner.report();
  CHECK(report.before == dense);
  CHECK(report.reached == 0.5);
  compact(model);
  CHECK(report.after == count_parameters(model));

  auto other = random_llama<Model>(device, config, {.rank = 2});
  CHECK_THROWS_WITH_AS((Pruner(other, MagnitudeImportance{}, EMAMask{}, CubicSchedule{.begin = 0, .end = 1, .sparsity = 0.5},
                               {.granularity = Granularity::layers, .target = {.left = 10}})),
                       doctest::Contains("cannot be brought to 10"), Error);
  for (const Budget& budget : {Budget(ParameterBudget{}), Budget(MacBudget{.positions = 8})}) {
    auto fresh = random_llama<Model>(device, config, {.rank = 2});
    const double whole = count(budget, fresh);
    double one = 0;
    detail::prune_by(fresh, Granularity::layers);
    one = prices(budget, fresh)[0];
    Pruner by_budget(fresh, MagnitudeImportance{}, EMAMask{.decay = 0}, CubicSchedule{.begin = 0, .end = 1, .sparsity = 0.5},
                     {.granularity = Granularity::layers, .every = 1, .target = {.budget = budget, .left = whole - 3 * one}});
    by_budget.step();
    compact(fresh);
    CHECK(fresh.blocks().size() == 1);
    CHECK(count(budget, fresh) == whole - 3 * one);
  }
}

TEST_CASE("GPT-2 loses layers as well, and channels of its residual stream cannot leave") {
  Device device;
  using Gpt2Model = Gpt2<Device, LowRankAdapter>;
  Gpt2Config config{.vocab = 13, .hidden = 8, .layers = 3, .heads = 2, .groups = 2, .head_dim = 4, .feed_forward = 10, .max_positions = 8};
  Gpt2Model model(device, config, {.rank = 2});
  randomise(model, 3);
  const TokenBatch batch(13, {2, 6});
  CHECK_THROWS_WITH_AS(model.prune_by(Granularity::hidden), doctest::Contains("LayerNorm takes away the mean"), Error);
  CHECK_THROWS_WITH_AS(model.prune_by(Granularity::queries), doctest::Contains("do not share keys and values"), Error);
  model.prune_by(Granularity::layers);
  mask(model, {1, 0, 1});
  const auto masked = logits(model, batch);
  const Index parameters = count_parameters(model);
  Index cost = 0;
  model.groups([&](auto group) { cost = group.cost(); });
  compact(model);
  CHECK(count_parameters(model) == parameters - cost);
  CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
}

TEST_CASE("what cannot be is refused by name") {
  Device device;
  auto config = four_layers(small_llamas()[1].config);
  config.widths = {{4, 2, 10}, {4, 2, 10}, {2, 1, 10}, {4, 2, 10}};
  auto uneven = random_llama<Model>(device, config, {.rank = 2});
  CHECK_THROWS_WITH_AS(uneven.prune_by(Granularity::layers), doctest::Contains("and layer 2 has"), Error);
  auto model = random_llama<Model>(device, four_layers(small_llamas()[1].config), {.rank = 2});
  model.prune_by(Granularity::layers);
  mask(model, {0, 0, 0, 0});
  CHECK_THROWS_WITH_AS(compact(model), doctest::Contains("every unit of layers is masked"), Error);
  auto last = random_llama<Model>(device, four_layers(small_llamas()[1].config), {.rank = 2});
  CHECK_THROWS_WITH_AS((Pruner(last, MagnitudeImportance{}, EMAMask{}, CubicSchedule{},
                               {.granularity = Granularity::layers, .normalise = Normalise::alive})),
                       doctest::Contains("leave normalise away"), Error);
}
