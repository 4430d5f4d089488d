// SPDX-License-Identifier: MIT
// Gradients of whole encoders by complex step on the loss, with and without adapters, padding and unit masks; masks and
// compaction with adapters beside and behind the weight, through files as well; and a model that learns and is pruned in a loop
// written by hand.
#include <algorithm>
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/full.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/adapter/sequential.hpp>
#include <espalier/model/bert_files.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/train/adamw.hpp>

#include "allocations.hpp"
#include "through_files.hpp"
#include "whole_model.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr Shape kShape{3, 5};
const std::vector<int> kTokens{5, 3, 8, 0, 0, 7, 7, 2, 4, 6, 1, 2, 0, 0, 0}, kVisible{1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0},
    kSegments{0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1};

BertConfig sizes() {
  BertConfig c;
  c.vocab = 9, c.hidden = 6, c.layers = 2, c.heads = c.groups = 3, c.head_dim = 2, c.feed_forward = 7;
  c.max_positions = 6, c.eps = 1e-3;
  c.dropout = c.attention_dropout = c.classifier_dropout = 0;
  return c;
}

template <template <class> class Adapter, class Family>
double gradient_error(const BertConfig& c, const TextBatch& batch, bool mask) {
  Drawn<EncoderModel<Real, Adapter, Family>> real(c);
  Drawn<EncoderModel<Complex, Adapter, Family>> imaginary(c);
  if (mask) real.mask(), imaginary.mask();
  return gradient_error(real.model, imaginary.model, batch);
}

using Classes = BertFamily<Bert, SequenceClassification>;
using RobertaClasses = BertFamily<Roberta, SequenceClassification>;
using Masked = BertFamily<Bert, MaskedLanguage>;
using RobertaMasked = BertFamily<Roberta, MaskedLanguage>;

/// The classifier's dropout, of one sequence: what it does to the input of a map, its mask does to the map's columns.
template <class Model, class Weight>
void expect_columns_dropped(Model& model, Dropout<Real>& dropout, Weight&& weight, const TextBatch& one) {
  dropout.p = 0.5;
  const double loss = model.loss(one).value();
  const Index width = weight.cols();
  std::vector<double> ones(std::size_t(width), 1), keep(ones);
  model.device().for_each_row(1, kernel::Dropout<double>{matrix<const double>(ones.data(), 1, width), 0.5, dropout.stream, model.run.on_device(),
                                                         nullptr, width, false, matrix(keep.data(), 1, width)});
  dropout.p = 0;
  CHECK(std::abs(model.loss(one).value() - loss) > 1e-3);
  const std::vector<double> before(weight.data, weight.data + weight.size());
  for (Index i = 0; i < weight.rows(); ++i)
    for (Index j = 0; j < width; ++j) weight(i, j) *= keep[std::size_t(j)];
  CHECK(model.loss(one).value() == doctest::Approx(loss).epsilon(1e-13));
  std::copy(before.begin(), before.end(), weight.data);
}

}  // namespace

TEST_CASE("gradients of every task are the derivative of its loss, with and without adapters, padding and masks") {
  const std::vector<int> classes{2, -100, 1}, hidden{-100, 3, -100, 2, -100, 8, -100, -100, -100, 1, -100, -100, 4, -100, -100};
  const std::vector<double> one{0.5, -1, 2}, several{1, 0, 0, 1, 1, 1};
  for (const bool pad : {false, true})
    for (const bool mask : {false, true}) {
      CAPTURE(pad);
      CAPTURE(mask);
      TextBatch batch{.tokens = kTokens, .segments = kSegments, .shape = kShape};
      if (pad) batch.visible = kVisible;
      BertConfig c = sizes();
      c.labels.count = 3, batch.labels = {.classes = classes};
      CHECK(gradient_error<LowRankAdapter, Classes>(c, batch, mask) <= 1e-12);
      CHECK(gradient_error<LowRankAdapter, RobertaClasses>(c, batch, mask) <= 1e-12);
      CHECK(gradient_error<SequentialAdapter, Classes>(c, batch, mask) <= 1e-12);
      CHECK(gradient_error<SequentialAdapter, RobertaClasses>(c, batch, mask) <= 1e-12);
      CHECK(gradient_error<Frozen, Classes>(c, batch, mask) <= 1e-12);
      c.trained_pooler = true;
      CHECK(gradient_error<LowRankAdapter, Classes>(c, batch, mask) <= 1e-12);
      c.trained_pooler = false;
      c.labels.count = 1, batch.labels = {.values = one};
      CHECK(gradient_error<LowRankAdapter, Classes>(c, batch, mask) <= 1e-12);
      c.labels = {2, Problem::several_labels}, batch.labels = {.values = several};
      CHECK(gradient_error<LowRankAdapter, Classes>(c, batch, mask) <= 1e-12);
      batch.labels = {.classes = hidden};
      CHECK(gradient_error<LowRankAdapter, Masked>(c, batch, mask) <= 1e-12);
    }
}

TEST_CASE("gradients are the derivative of the loss in full fine-tuning, and of a head of masked language with an adapter behind its map") {
  const std::vector<int> classes{2, -100, 1}, hidden{-100, 3, -100, 2, -100, 8, -100, -100, -100, 1, -100, -100, 4, -100, -100};
  TextBatch batch{.tokens = kTokens, .visible = kVisible, .segments = kSegments, .labels = {.classes = classes}, .shape = kShape};
  BertConfig c = sizes();
  c.labels.count = 3;
  CHECK(gradient_error<FullAdapter, Classes>(c, batch, /*mask=*/true) <= 1e-12);
  expect_compacted<EncoderModel<Real, FullAdapter, Classes>>(c, batch, "");
  batch.labels = {.classes = hidden};
  CHECK(gradient_error<SequentialAdapter, RobertaMasked>(c, batch, /*mask=*/true) <= 1e-12);
}

TEST_CASE("a classifier is trained on a part of its input, behind the pooler's function; RoBERTa's on a part of the first token, too") {
  const std::vector<int> tokens{5, 3, 8, 1, 4}, classes{2};
  const TextBatch one{.tokens = tokens, .labels = {.classes = classes}, .shape = {1, 5}};
  BertConfig c = sizes();
  c.labels.count = 3;
  Drawn<EncoderModel<Real, LowRankAdapter, Classes>> bert(c);
  expect_columns_dropped(bert.model, bert.model.head.classifier.between, bert.model.head.classifier.out.weight.value, one);
  Drawn<EncoderModel<Real, LowRankAdapter, RobertaClasses>> roberta(c);
  expect_columns_dropped(roberta.model, roberta.model.head.classifier.between, roberta.model.head.classifier.out.weight.value, one);
  expect_columns_dropped(roberta.model, roberta.model.head.classifier.before, roberta.model.head.classifier.first.weight.value, one);
}

TEST_CASE("masked == compacted == merged for each group, with adapters beside and behind the weight, padded or not") {
  const std::vector<int> classes{2, -100, 1};
  for (const bool pad : {false, true}) {
    CAPTURE(pad);
    TextBatch batch{.tokens = kTokens, .segments = kSegments, .labels = {.classes = classes}, .shape = kShape};
    if (pad) batch.visible = kVisible;
    BertConfig c = sizes();
    c.labels.count = 3;
    for (const char* kind : {"heads", "channels", ""}) {
      expect_compacted<EncoderModel<Real, LowRankAdapter, Classes>>(c, batch, kind);
      expect_compacted<EncoderModel<Real, SequentialAdapter, Classes>>(c, batch, kind);
      expect_compacted<EncoderModel<Real, LowRankAdapter, RobertaClasses>>(c, batch, kind);
      expect_compacted<EncoderModel<Real, SequentialAdapter, RobertaClasses>>(c, batch, kind);
    }
    expect_merged_first<EncoderModel<Real, SequentialAdapter, Classes>>(c, batch);
    expect_merged_first<EncoderModel<Real, SequentialAdapter, RobertaClasses>>(c, batch);
  }
}

TEST_CASE("an adapter behind the weight goes through files, that of the pooler too") {
  const TextBatch batch{.tokens = kTokens, .visible = kVisible, .segments = kSegments, .shape = kShape};
  expect_through_files<EncoderModel<Real, SequentialAdapter, Classes>>("bert-classes", batch, {Layout::padded});
}

TEST_CASE("a classifier learns, is pruned on the way and compacted, in a loop written by hand") {
  BertConfig c = sizes();
  c.labels.count = 2;
  Drawn<EncoderModel<Real, LowRankAdapter, Classes>> drawn(c);
  auto& model = drawn.model;
  AdamW optimizer(model, {.rate = 3e-2});
  Pruner pruner(model, TaylorImportance{}, EMAMask{.decay = 0.5}, CubicSchedule{.begin = 4, .end = 20, .sparsity = 0.4}, {.every = 4});
  const std::vector<int> classes{1, 0, 1};
  const TextBatch batch{.tokens = kTokens, .visible = kVisible, .segments = kSegments, .labels = {.classes = classes}, .shape = kShape};
  const double first = model.evaluate(batch).value();
  double sparsity = 0;
  for (int step = 0; step < 40; ++step) {
    model.loss(batch);
    sparsity = pruner.step();
    optimizer.step();
  }
  CHECK(sparsity == doctest::Approx(0.4).epsilon(0.2));
  const double masked = model.evaluate(batch).value();
  CHECK(masked < 0.6 * first);
  const Index before = count_parameters(model);
  compact(model);
  CHECK(count_parameters(model) < before);
  CHECK(model.evaluate(batch).value() == doctest::Approx(masked).epsilon(1e-12));
  for (int step = 0; step < 3; ++step) {  // moments and gradients have moved along
    const long taken = allocations;
    model.loss(batch);
    optimizer.step();
    if (step == 2) CHECK(allocations == taken);  // the first one has found out how much it takes
  }
  CHECK(model.evaluate(batch).value() < masked);
}
