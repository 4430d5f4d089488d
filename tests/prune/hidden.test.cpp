// SPDX-License-Identifier: MIT
// Channels of the residual stream: one set for the whole model. RMSNorm takes a mean over fewer channels then, and its gain
// and eps make up for that exactly.
#include <doctest/doctest.h>
#include <espalier/adapter/sequential.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/importance/signed_taylor.hpp>
#include <espalier/prune/importance/wanda.hpp>
#include <espalier/prune/pruner.hpp>

#include "llamas.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

using Device = Cpu<double>;
using Model = Llama<Device, LowRankAdapter>;
using Bits = std::vector<std::uint8_t>;
const Bits some{1, 0, 1, 1, 0, 0, 1, 0};

template <class M>
void mask(M& model, const Bits& bits) {
  model.groups([&](auto group) {
    CHECK(group.kind == "hidden");
    group.mask->set(*model.run.device, bits);
  });
}
template <class M>
std::vector<double> logits(M& model, const TokenBatch& batch) {
  const auto x = model.logits(batch.tokens, batch.shape);
  return std::vector<double>(x.begin(), x.end());
}
/// Loss, gradients of what keeps its shape, and norms of the gradients of all.
template <class M>
std::vector<double> gradients(M& model, const TokenBatch& batch) {
  for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] = 0;
  std::vector<double> all{double(model.loss(batch))};
  for_each_parameter(model, [&](const std::string& path, auto& p) {
    const bool writes = path.find("o_proj") != std::string::npos || path.find("down_proj") != std::string::npos;
    const bool changes = path.find(writes ? "lora_B" : "lora_A") != std::string::npos;
    double squares = 0;
    for (Index i = 0; i < p.rows; ++i)
      for (Index j = 0; j < p.cols; ++j) {
        const bool gone = changes && p.rows * p.cols > 0 && (writes ? p.rows : p.cols) == 8 && !some[std::size_t(writes ? i : j)];
        if (!changes) all.push_back(p.grad(i, j));
        if (gone) CHECK(p.grad(i, j) == 0);
        squares += p.grad(i, j) * p.grad(i, j);
      }
    if (changes) all.push_back(std::sqrt(squares));
  });
  return all;
}

}  // namespace

TEST_CASE("gain and eps of RMSNorm make up for channels that have left, whatever they are") {
  Device device;
  Workspace<Device> workspace(device);
  RmsNorm<Device> whole(device, 8, 0.3), narrow(device, 3, 0.3), stock(device, 3, 0.3 * 8 / 3);
  std::vector<double> x(16, 0.0), few;
  const int kept[] = {1, 4, 6};
  for (int t = 0; t < 2; ++t)
    for (int n = 0; n < 3; ++n) few.push_back(x[std::size_t(8 * t + kept[n])] = 0.7 * (t + 1) - n);
  for (int j = 0; j < 8; ++j) whole.weight.view()(j) = 0.5 + 0.1 * j;
  for (int n = 0; n < 3; ++n) narrow.weight.view()(n) = whole.weight.view()(kept[n]);
  for (int n = 0; n < 3; ++n) stock.weight.view()(n) = whole.weight.view()(kept[n]) * std::sqrt(8.0 / 3);
  narrow.over = 8;
  RmsNorm<Device>::Activations a, b, c;
  Pass<Device> pass(workspace, {});
  const auto y = whole.forward(pass, matrix<const double>(x.data(), 2, 8), a);
  const auto z = narrow.forward(pass, matrix<const double>(few.data(), 2, 3), b);
  const auto s = stock.forward(pass, matrix<const double>(few.data(), 2, 3), c);
  for (int t = 0; t < 2; ++t)
    for (int n = 0; n < 3; ++n) {
      double squares = 0;
      for (int m = 0; m < 3; ++m) squares += few[std::size_t(3 * t + m)] * few[std::size_t(3 * t + m)];
      const double expected = whole.weight.view()(kept[n]) * few[std::size_t(3 * t + n)] / std::sqrt(squares / 8 + 0.3);
      CHECK(y(t, kept[n]) == doctest::Approx(expected).epsilon(1e-14));
      CHECK(z(t, n) == doctest::Approx(expected).epsilon(1e-14));
      CHECK(s(t, n) == doctest::Approx(expected).epsilon(1e-14));  // and so does a file
    }
}

TEST_CASE("masked and compacted are one function with one gradient, and what is masked is zero in the residual stream") {
  for (const auto& [name, config] : small_llamas()) {
    const std::string where = name;
    CAPTURE(where);
    Device device;
    auto model = random_llama<Model>(device, config, {.rank = 2, .dropout = 0.2});
    auto zeroed = random_llama<Model>(device, config, {.rank = 2});
    const TokenBatch batch(config.vocab, {2, 6});
    const auto dense = logits(model, batch);
    model.prune_by(Granularity::hidden);
    CHECK(relative_error(logits(model, batch), dense) <= 1e-15);
    mask(model, some);
    const auto masked = logits(model, batch);
    CHECK(relative_error(masked, dense) > 1e-3);
    // By hand: whoever writes a channel writes zeros. A tied head that has zeros there is the same.
    for (std::size_t j = 0; j < 8; ++j) {
      if (some[j]) continue;
      for (Index v = 0; v < config.vocab; ++v) zeroed.model.embed_tokens.view()(v, Index(j)) = 0;
      for (auto& block : zeroed.blocks())
        for (auto* p : {&block.self_attn.o_proj, &block.mlp.down_proj}) {
          for (Index i = 0; i < p->in(); ++i) p->weight.view()(Index(j), i) = 0;
          for (Index i = 0; i < 2; ++i) p->adapter.b.value(Index(j), i) = 0;
          if (!p->bias.empty()) p->bias.view()(Index(j)) = 0;
        }
    }
    CHECK(relative_error(logits(zeroed, batch), masked) <= 1e-12);
    const auto before = gradients(model, batch);
    const Index parameters = count_parameters(model);
    Index cost = 0;
    model.groups([&](auto group) { cost = group.cost(); });
    compact(model);
    CHECK(model.config.hidden == 4);
    CHECK(count_parameters(model) == parameters - 4 * cost);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
    CHECK(relative_error(gradients(model, batch), before) <= 1e-12);
    mask(model, {1, 0, 1, 1});
    const auto again = logits(model, batch);
    compact(model);
    CHECK(relative_error(logits(model, batch), again) <= 1e-12);
    merge(model);
    CHECK(relative_error(logits(model, batch), again) <= 1e-12);
    model.groups([&](auto group) { CHECK(group.mask->origin() == std::vector<int>{0, 3, 6}); });
  }
}

TEST_CASE("adapters behind the weight mix only channels that are left") {
  Device device;
  auto model = random_llama<Llama<Device, SequentialAdapter>>(device, small_llamas()[4].config, {.rank = 2});
  const TokenBatch batch(13, {2, 6});
  model.prune_by(Granularity::hidden);
  mask(model, some);
  const auto masked = logits(model, batch);
  merge(model);
  CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
  unmerge(model);
  compact(model);
  CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
}

TEST_CASE("the score of a channel is that of all columns that read it and all rows that write it") {
  Device device;
  const auto config = small_llamas()[3].config;
  auto model = random_llama<Model>(device, config, {.rank = 2});
  for_each_parameter(model, [&](const std::string& path, auto& p) {
    for (Index i = 0; i < p.rows * p.cols; ++i)
      if (path.find("lora_B") != std::string::npos) p.value.data[i] = 0;
  });
  std::vector<double> expected(8);
  for_each_projection(model, [&](const std::string& path, auto& p) {
    const bool writes = path.ends_with("o_proj") || path.ends_with("down_proj");
    const auto w = p.weight.view();
    for (Index i = 0; i < w.rows(); ++i)
      for (Index j = 0; j < w.cols(); ++j) expected[std::size_t(writes ? i : j)] += std::abs(w(i, j));
  });
  const double dense = double(count_parameters(model));
  Pruner pruner(model, MagnitudeImportance{}, EMAMask{.decay = 0}, CubicSchedule{.begin = 0, .end = 1, .sparsity = 0.5},
                {.granularity = Granularity::hidden, .every = 1, .normalise = Normalise::none});
  pruner.step();
  const Plan plan = pruner.plan();
  CHECK(relative_error(plan.groups.at(0).scores, expected) <= 1e-12);
  std::vector<int> order{0, 1, 2, 3, 4, 5, 6, 7};
  std::sort(order.begin(), order.end(), [&](int a, int b) { return expected[std::size_t(a)] > expected[std::size_t(b)]; });
  std::sort(order.begin(), order.begin() + 4);
  CHECK(plan.groups[0].kept == std::vector<int>(order.begin(), order.begin() + 4));
  compact(model);
  CHECK(pruner.report().after == count_parameters(model));
  CHECK(pruner.report().before == Index(dense));
  for (const Budget& budget : {Budget(ParameterBudget{}), Budget(MacBudget{.positions = 8})}) {
    auto fresh = random_llama<Model>(device, config, {.rank = 2});
    const double whole = count(budget, fresh);
    detail::prune_by(fresh, Granularity::hidden);
    const double one = prices(budget, fresh)[0];
    Pruner by_budget(fresh, MagnitudeImportance{}, EMAMask{.decay = 0}, CubicSchedule{.begin = 0, .end = 1, .sparsity = 0.5},
                     {.granularity = Granularity::hidden, .every = 1, .target = {.budget = budget, .left = whole - 3 * one}});
    by_budget.step();
    compact(fresh);
    CHECK(fresh.config.hidden == 5);
    CHECK(count(budget, fresh) == whole - 3 * one);
  }
}

TEST_CASE("signed Taylor scores of what a channel writes and reads are exact: Σ G W by finite differences") {
  Device device;
  const auto config = small_llamas()[1].config;
  auto model = random_llama<Model>(device, config, {.rank = 2});
  auto other = random_llama<Model>(device, config, {.rank = 2});
  const TokenBatch batch(13, {2, 6});
  Pruner pruner(model, SignedTaylorImportance{.power = Power::abs}, EMAMask{.decay = 0},
                CubicSchedule{.begin = 5, .end = 10, .sparsity = 0.5},
                {.granularity = Granularity::hidden, .every = 5, .normalise = Normalise::none});
  const double loss = model.loss(batch);
  CHECK(loss > 0);
  pruner.step();
  const std::vector<double> scores = pruner.plan().groups.at(0).scores;
  merge(other);
  for (Index u = 0; u < 8; ++u) {
    double sum = 0;
    for_each_projection(other, [&](const std::string& path, auto& p) {
      const bool writes = path.ends_with("o_proj") || path.ends_with("down_proj");
      const auto w = p.weight.view();
      const auto scaled = [&](double by) {
        for (Index i = 0; i < (writes ? p.in() : p.out()); ++i) (writes ? w(u, i) : w(i, u)) *= by;
      };
      const double h = 1e-5;
      scaled(1 + h);
      const double up = other.evaluate(batch);
      scaled((1 - h) / (1 + h));
      const double down = other.evaluate(batch);
      scaled(1 / (1 - h));
      sum += std::abs((up - down) / (2 * h));
    });
    CHECK(scores[std::size_t(u)] == doctest::Approx(sum).epsilon(1e-6));
  }
}

TEST_CASE("statistics of inputs follow channels that leave") {
  const auto run = [](auto score, bool live) {
    Device device;
    auto model = random_llama<Model>(device, small_llamas()[1].config, {.rank = 2});
    const TokenBatch batch(13, {2, 6}), other(13, {2, 6}, 5);
    Pruner pruner(model, score, EMAMask{.decay = 0.5}, CubicSchedule{.begin = 0, .end = 6, .sparsity = 0.5},
                  {.granularity = Granularity::hidden, .every = 2});
    for (int step = 0; step < 6; ++step) {
      model.loss(step % 2 ? batch : other);
      pruner.step();
      if (live) compact(model), pruner.follow();
    }
    const Plan plan = pruner.plan();
    CHECK(plan.groups.at(0).kept.size() == 4);
    return plan.groups[0].kept;
  };
  CHECK(run(WandaImportance{}, true) == run(WandaImportance{}, false));
  CHECK(run(OBSImportance{}, true) == run(OBSImportance{}, false));
}
