// SPDX-License-Identifier: MIT
// Whole models with the adapter behind the weight: the laws that masks, merging and compaction have to obey.
#include <doctest/doctest.h>
#include <espalier/adapter/sequential.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>

#include "llamas.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

using Model = Llama<Cpu<double>, SequentialAdapter>;

template <class M>
std::vector<double> logits(M& model, const TokenBatch& batch) {
  const auto x = model.logits(batch.tokens, batch.shape);
  return std::vector<double>(x.begin(), x.end());
}
/// The loss, and of each parameter the gradients that are not zero: those of what is masked are.
template <class M>
std::vector<std::vector<double>> gradients(M& model, const TokenBatch& batch) {
  for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] = 0;
  std::vector<std::vector<double>> all{{double(model.loss(batch))}};
  for_each_parameter(model, [&](const std::string&, auto& p) {
    all.emplace_back();
    for (Index i = 0; i < p.size(); ++i)
      if (p.grad.data[i] != 0) all.back().push_back(p.grad.data[i]);
  });
  return all;
}
template <class M>
void mask_some(M& model) {
  model.groups([&](auto group) {
    std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
    for (std::size_t u = 0; u + 1 < alive.size(); u += 2) alive[u] = 0;
    group.mask->set(*model.run.device, alive);
  });
}

}  // namespace

TEST_CASE("masked == compacted, merged == unmerged, for every shape of the family") {
  for (const auto& [name, config] : small_llamas()) {
    const std::string where = name;
    CAPTURE(where);
    Cpu<double> device;
    const TokenBatch batch(config.vocab, {2, 6});
    auto model = random_llama<Model>(device, config, {.rank = 2});
    const auto whole = logits(model, batch);
    merge(model);
    CHECK(relative_error(logits(model, batch), whole) <= 1e-12);
    unmerge(model);
    CHECK(relative_error(logits(model, batch), whole) <= 1e-12);

    mask_some(model);
    const auto masked = logits(model, batch);
    CHECK(relative_error(masked, whole) > 1e-3);
    merge(model);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
    unmerge(model);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
    const auto before = gradients(model, batch);
    compact(model);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
    const auto after = gradients(model, batch);
    REQUIRE(after.size() == before.size());
    Index left = 0;
    for (std::size_t i = 0; i < after.size(); ++i) {
      CHECK(relative_error(after[i], before[i]) <= 1e-12);
      left += Index(after[i].size());
    }
    CHECK(left == 1 + count_trainable(model));  // all that is left has one
    merge(model);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-12);

    auto merged = random_llama<Model>(device, config, {.rank = 2});
    mask_some(merged);
    merge(merged);
    compact(merged);
    CHECK(relative_error(logits(merged, batch), masked) <= 1e-12);
    unmerge(merged);
    CHECK(relative_error(logits(merged, batch), masked) <= 1e-12);
  }
}

TEST_CASE("compaction does not shift dropout") {
  Cpu<double> device;
  const auto config = small_llamas()[4].config;
  auto model = random_llama<Model>(device, config, {.rank = 2, .dropout = 0.3});
  const TokenBatch batch(config.vocab, {2, 6});
  mask_some(model);
  const double masked = model.loss(batch), still = model.evaluate(batch);
  CHECK(std::abs(masked - still) > 1e-6);  // dropout is on
  compact(model);
  CHECK(double(model.loss(batch)) == doctest::Approx(masked).epsilon(1e-12));
}
