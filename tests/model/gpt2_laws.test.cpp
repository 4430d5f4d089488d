// SPDX-License-Identifier: MIT
// Whole GPT-2s: gradients by complex step on the loss, masks and compaction, with adapters beside and behind the weight.
#include <doctest/doctest.h>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/adapter/sequential.hpp>
#include <espalier/model/gpt2.hpp>

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
}

TEST_CASE("masked == compacted == merged for each group, with adapters beside and behind the weight") {
  for (const bool tied : {true, false})
    for (const char* kind : {"heads", "channels", ""}) {
      expect_compacted<Gpt2<Real, LowRankAdapter>>(sizes(tied), kBatch, kind);
      expect_compacted<Gpt2<Real, SequentialAdapter>>(sizes(tied), kBatch, kind);
    }
}

TEST_CASE("an adapter behind the weight that was trained without masks is merged before units leave") {
  expect_merged_first<Gpt2<Real, SequentialAdapter>>(sizes(true), kBatch);
}
