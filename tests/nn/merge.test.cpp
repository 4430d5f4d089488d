// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/nn/merge.hpp>

#include "llamas.hpp"
#include "oracle_numbers.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

template <class Model>
std::vector<double> logits(Model& model, const TokenBatch& batch) {
  const auto x = model.logits(batch.tokens, batch.shape);
  return std::vector<double>(x.begin(), x.end());
}

}  // namespace

TEST_CASE_TEMPLATE("the merged weight is the oracle's, and so are the outputs, merged or not", Device,
                   Oracle<double>, Cpu<double>) {
  Device device;
  const ParallelCase c;
  auto model = c.model(device, Axis::rows, 1);
  const auto z = numbers(oracle_numbers()["parallel"]["z"]);
  CHECK(relative_error(model.outputs(c.x), z) <= 1e-12);
  merge(model);
  const auto w = model.projection.weight.view();
  CHECK(relative_error(as_doubles(w), numbers(oracle_numbers()["parallel"]["W_merged"])) <= 1e-12);
  CHECK(relative_error(model.outputs(c.x), z) <= 1e-12);
  unmerge(model);
  CHECK(relative_error(as_doubles(w), c.w) <= 1e-12);
}

TEST_CASE_TEMPLATE("merged and unmerged compute the same function", Device, Oracle<double>, Cpu<double>) {
  for (const auto& [name, config] : small_llamas()) {
    const std::string where = name;
    CAPTURE(where);
    Device device;
    auto model = random_llama<Llama<Device, LowRankAdapter>>(device, config, {.rank = 3, .alpha = 5});
    const TokenBatch batch(config.vocab, {2, 6});
    const auto apart = logits(model, batch);
    const double loss = model.loss(batch);
    const Index trainable = count_trainable(model);
    merge(model);
    CHECK(relative_error(logits(model, batch), apart) <= 1e-12);
    CHECK_FALSE(model.blocks()[0].self_attn.q_proj.adapter.active());
    merge(model);  // once is enough
    CHECK(relative_error(logits(model, batch), apart) <= 1e-12);
    CHECK(double(model.loss(batch)) == doctest::Approx(loss).epsilon(1e-12));
    CHECK(count_trainable(model) == trainable);  // they remember themselves
    unmerge(model);
    CHECK(model.blocks()[0].self_attn.q_proj.adapter.active());
    CHECK(relative_error(logits(model, batch), apart) <= 1e-12);
    unmerge(model);
    CHECK(relative_error(logits(model, batch), apart) <= 1e-12);
  }
}

TEST_CASE("projections without an adapter, and frozen models, are left alone") {
  Cpu<double> device;
  const auto config = small_llamas()[1].config;
  auto model = random_llama<Llama<Cpu<double>, LowRankAdapter>>(device, config, {.rank = 2, .targets = {"q_proj"}});
  const auto numbers_of = [](auto& p) { return as_doubles(p.weight.view()); };
  const auto q = numbers_of(model.blocks()[0].self_attn.q_proj), k = numbers_of(model.blocks()[0].self_attn.k_proj);
  merge(model);
  CHECK(numbers_of(model.blocks()[0].self_attn.q_proj) != q);
  CHECK(numbers_of(model.blocks()[0].self_attn.k_proj) == k);
  auto frozen = random_llama<Llama<Cpu<double>, Frozen>>(device, config, {});
  const auto before = numbers_of(frozen.blocks()[0].self_attn.q_proj);
  merge(frozen);
  CHECK(numbers_of(frozen.blocks()[0].self_attn.q_proj) == before);
}

TEST_CASE("a weight in bf16 is rounded once: each number is the nearest to W0 + s B A") {
  using Device = Cpu<float, BFloat16>;
  Device device;
  const auto config = small_llamas()[1].config;
  auto model = random_llama<Llama<Device, LowRankAdapter>>(device, config, {.rank = 2});
  const TokenBatch batch(config.vocab, {2, 6});
  const auto apart = logits(model, batch);
  auto& p = model.blocks()[1].mlp.down_proj;
  std::vector<BFloat16> want;
  for (Index i = 0; i < p.out(); ++i)
    for (Index j = 0; j < p.in(); ++j) {
      float sum = 0;
      for (Index r = 0; r < p.adapter.rank(); ++r) sum += p.adapter.b.value(i, r) * p.adapter.a.value(r, j);
      want.push_back(BFloat16(float(p.weight.view()(i, j)) + float(p.adapter.scale) * sum));
    }
  merge(model);
  const auto w = p.weight.view();
  Index apart_by_one = 0;  // the product's last float bit may move a number across a tie
  for (Index i = 0; i < w.size(); ++i) apart_by_one += !(w.data[i] == want[std::size_t(i)]);
  CHECK(apart_by_one <= w.size() / 50);
  CHECK(relative_error(logits(model, batch), apart) <= 1e-2);
}

TEST_CASE("merging works in panels: more rows than one of them") {
  Cpu<double> device;
  Single<Cpu<double>> model(device, 1100, 2100, false, {.rank = 2, .alpha = 3}, Axis::rows, 1);
  randomise(model, 3);
  const auto& p = model.projection;
  std::vector<double> want;
  for (Index i = 0; i < 1100; ++i)
    for (Index j = 0; j < 2100; ++j) {
      double sum = 0;
      for (Index r = 0; r < 2; ++r) sum += p.adapter.b.value(i, r) * p.adapter.a.value(r, j);
      want.push_back(p.weight.view()(i, j) + p.adapter.scale * sum);
    }
  merge(model);
  CHECK(relative_error(as_doubles(p.weight.view()), want) <= 1e-12);
  CHECK(model.run.workspace.peak() < Index(8 * 1100 * 2100 / 2));
}
