// SPDX-License-Identifier: MIT
// Whole GPT-2s: gradients by complex step on the loss, masks, compaction and files, with adapters beside and behind the weight,
// and in full.
#include <doctest/doctest.h>
#include <espalier/adapter/full.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/adapter/sequential.hpp>
#include <espalier/model/gpt2_files.hpp>

#include "scores.hpp"
#include "sequential_scores.hpp"
#include "through_files.hpp"
#include "whole_model.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

const std::vector<int> kTokens{5, 3, 8, 0, 7, 7, 2, 4, 6, 1}, kTargets{3, 8, -100, 7, 1, 2, 4, -100, 1, 0};
const Batch kBatch{.tokens = kTokens, .targets = kTargets, .shape = {2, 5}};

/// tied: as published; otherwise with a head of its own and scores divided by the layer as well.
Gpt2Config sizes(bool tied) {
  Gpt2Config c;
  c.vocab = 9, c.hidden = 6, c.layers = 2, c.heads = c.groups = 3, c.head_dim = 2, c.feed_forward = 7, c.max_positions = 6;
  c.eps = 1e-3, c.dropout = c.attention_dropout = c.embedding_dropout = 0;
  c.tied = tied, c.scaled_by_layer = !tied;
  return c;
}

template <template <class> class Adapter>
double gradient_error(bool tied, bool mask) {
  Drawn<Gpt2<Real, Adapter>> real(sizes(tied));
  Drawn<Gpt2<Complex, Adapter>> imaginary(sizes(tied));
  if (mask) real.mask(), imaginary.mask();
  return gradient_error(real.model, imaginary.model, kBatch);
}

}  // namespace

TEST_CASE("gradients are the derivative of the loss, tied or not, with and without masks") {
  for (const bool tied : {true, false})
    for (const bool mask : {false, true}) {
      CHECK(gradient_error<LowRankAdapter>(tied, mask) <= 1e-12);
      CHECK(gradient_error<SequentialAdapter>(tied, mask) <= 1e-12);
    }
  CHECK(gradient_error<FullAdapter>(/*tied=*/true, /*mask=*/true) <= 1e-12);
}

TEST_CASE("masked == compacted == merged for each group, with adapters beside and behind the weight") {
  for (const bool tied : {true, false})
    for (const char* kind : {"heads", "channels", ""}) {
      expect_compacted<Gpt2<Real, LowRankAdapter>>(sizes(tied), kBatch, kind);
      expect_compacted<Gpt2<Real, SequentialAdapter>>(sizes(tied), kBatch, kind);
    }
  expect_compacted<Gpt2<Real, FullAdapter>>(sizes(true), kBatch, "");
}

TEST_CASE("an adapter behind the weight that was trained without masks is merged before units leave") {
  expect_merged_first<Gpt2<Real, SequentialAdapter>>(sizes(true), kBatch);
}

TEST_CASE("behind a fused projection a head scores what the definition adds up: its rows of each third, its columns of the output") {
  Drawn<Gpt2<Real, SequentialAdapter>> drawn(sizes(true));
  auto& model = drawn.model;
  model.run.step.clip = 0.5;
  for (const TaylorImportance& importance :
       {TaylorImportance{}, TaylorImportance{.power = Power::abs, .eta = 0.5, .scaled = true, .clipped = true}}) {
    for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] = 0;
    const auto scores = group_scores(model, importance, Normalise::none, [&] { model.loss(kBatch); });
    REQUIRE(scores.size() == 4);  // heads and channels of two blocks
    const double clip = importance.clipped ? 0.5 : 1;
    for (std::size_t l = 0; l < 2; ++l) {
      auto& block = model.blocks()[l];
      const auto in = sequential_elements(block.self_attn.in, importance, clip), out = sequential_elements(block.self_attn.out, importance, clip),
                 up = sequential_elements(block.mlp.up, importance, clip), down = sequential_elements(block.mlp.down, importance, clip);
      std::vector<double> heads(3), channels(7);
      for (std::size_t i = 0; i < 18; ++i)  // q, k and v: three heads of two rows each
        for (std::size_t j = 0; j < 6; ++j) heads[i % 6 / 2] += in[i * 6 + j];
      for (std::size_t i = 0; i < 6; ++i)
        for (std::size_t j = 0; j < 6; ++j) heads[j / 2] += out[i * 6 + j];
      for (std::size_t c = 0; c < 7; ++c)
        for (std::size_t i = 0; i < 6; ++i) channels[c] += up[c * 6 + i] + down[i * 7 + c];
      CHECK(relative_error(scores[2 * l], heads) <= 1e-12);
      CHECK(relative_error(scores[2 * l + 1], channels) <= 1e-12);
    }
  }
}

TEST_CASE("an adapter behind the weight goes through files: padded, or each layer as it is") {
  for (const char* name : {"gpt2", "gpt2-odd"})
    expect_through_files<Gpt2<Real, SequentialAdapter>>(name, kBatch, {Layout::padded, Layout::compact});
}
