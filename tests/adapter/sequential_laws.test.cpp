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
    CHECK(relative_error(logits(model, batch), whole) <= 1e-11);

    mask_some(model);
    const auto masked = logits(model, batch);
    CHECK(relative_error(masked, whole) > 1e-3);
    merge(model);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-12);
    unmerge(model);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-11);
    const auto gradients = [&] {
      for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] = 0;
      const double loss = model.loss(batch);
      double squares = 0;
      for (Index i = 0; i < model.run.arena.size(); ++i) squares += model.run.arena.grad()[i] * model.run.arena.grad()[i];
      return std::vector<double>{loss, squares};
    };
    const auto before = gradients();
    compact(model);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-11);
    CHECK(relative_error(gradients(), before) <= 1e-10);  // masked units have none
    merge(model);
    CHECK(relative_error(logits(model, batch), masked) <= 1e-11);
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
