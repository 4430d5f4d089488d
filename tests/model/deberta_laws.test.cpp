// SPDX-License-Identifier: MIT
// Whole DeBERTas: gradients by complex step on the loss, masks and compaction with adapters of both kinds, and a training loop.
#include <doctest/doctest.h>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/adapter/sequential.hpp>
#include <espalier/model/deberta_files.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/train/adamw.hpp>

#include "allocations.hpp"
#include "whole_model.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr Shape kShape{3, 5};
const std::vector<int> kTokens{5, 3, 8, 0, 0, 7, 7, 2, 4, 6, 1, 2, 0, 0, 0}, kVisible{1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 0},
    kClasses{2, -100, 1};

DebertaConfig sizes(bool shared) {
  DebertaConfig c;
  c.vocab = 9, c.hidden = 6, c.layers = 2, c.heads = c.groups = 3, c.head_dim = 2, c.feed_forward = 7, c.eps = 1e-3;
  c.buckets = {.reach = 6, .buckets = 4}, c.shared = shared, c.labels.count = 3;
  c.dropout = c.attention_dropout = c.classifier_dropout = 0;
  if (!shared) c.positions = 7, c.segments = 2, c.normed = false, c.taps = 3;
  return c;
}
const TextBatch kBatch{.tokens = kTokens, .visible = kVisible, .labels = {.classes = kClasses}, .shape = kShape};

const TextBatch kWhole{.tokens = kTokens, .labels = {.classes = kClasses}, .shape = kShape};  // nothing is padding

template <class Device, template <class> class Adapter>
using Model = DebertaForSequenceClassification<Device, Adapter>;

template <template <class> class Adapter, class Task = SequenceClassification>
double gradient_error(bool shared, const TextBatch& batch = kBatch, bool mask = true) {
  Drawn<EncoderModel<Real, Adapter, DebertaFamily<Task>>> real(sizes(shared));
  Drawn<EncoderModel<Complex, Adapter, DebertaFamily<Task>>> imaginary(sizes(shared));
  if (mask) real.mask(), imaginary.mask();
  return gradient_error(real.model, imaginary.model, batch);
}

}  // namespace

TEST_CASE("gradients are the derivative of the loss, with maps of positions shared and apart") {
  for (const bool shared : {true, false}) {
    CHECK(gradient_error<LowRankAdapter>(shared) <= 1e-12);
    CHECK(gradient_error<SequentialAdapter>(shared) <= 1e-12);
    CHECK(gradient_error<LowRankAdapter>(shared, kWhole, /*mask=*/false) <= 1e-12);
  }
}

TEST_CASE("of masked language, too") {
  const std::vector<int> hidden{-100, 3, -100, -100, -100, 2, -100, 8, -100, 1, -100, 4, -100, -100, -100};
  const TextBatch batch{.tokens = kTokens, .visible = kVisible, .labels = {.classes = hidden}, .shape = kShape};
  CHECK(gradient_error<LowRankAdapter, MaskedLanguage>(/*shared=*/true, batch) <= 1e-12);
}

TEST_CASE("the convolution's share is dropped in front of its function: norm(r + f(drop(W ∗ x + b)))") {
  Real device;
  constexpr Index rows = 3, width = 4;
  ConvolutionBranch<Real> branch(device, width, 1, ActivationFunction::gelu, 1e-3);
  randomise(branch, 5);
  branch.dropout = {0.5, 9};
  Workspace<Real> workspace(device);
  const StepState state{.seed = 7, .step = 3};
  Pass<Real> pass(workspace, {1, rows}, &state, /*training=*/true);
  auto x = pass.matrix(rows, width), r = pass.matrix(rows, width), keep = pass.matrix(rows, width);
  fill(x.data, x.size(), 1), fill(r.data, r.size(), 2);
  std::fill_n(keep.data, keep.size(), 1);
  Dropout<Real>{0.5, 9}.apply(pass, keep);
  LayerNorm<Real>::Activations act;
  const auto y = branch.forward(pass, x, r, nullptr, act);
  for (Index t = 0; t < rows; ++t) {
    double sum[width], mean = 0, variance = 0;
    for (Index i = 0; i < width; ++i) {
      double h = branch.bias.view()(i);
      for (Index j = 0; j < width; ++j) h += branch.weight.view()(i, j) * x(t, j);  // one tap: of this token alone
      h *= keep(t, i);
      sum[i] = r(t, i) + 0.5 * h * std::erfc(-h / std::sqrt(2.0)), mean += sum[i] / width;
    }
    for (const double s : sum) variance += (s - mean) * (s - mean) / width;
    for (Index i = 0; i < width; ++i) {
      const double normed = (sum[i] - mean) / std::sqrt(variance + 1e-3);
      CHECK(y(t, i) == doctest::Approx(branch.norm.weight.view()(i) * normed + branch.norm.bias.view()(i)).epsilon(1e-12));
    }
  }
}

TEST_CASE("masked == compacted == merged for each group, with adapters beside and behind the weight") {
  for (const bool shared : {true, false}) {
    CAPTURE(shared);
    for (const char* kind : {"heads", "channels"}) {
      expect_compacted<Model<Real, LowRankAdapter>>(sizes(shared), kBatch, kind);
      expect_compacted<Model<Real, SequentialAdapter>>(sizes(shared), kBatch, kind);
    }
    expect_merged_first<Model<Real, SequentialAdapter>>(sizes(shared), kBatch);
  }
}

TEST_CASE("an exact score of a shared map counts what positions say as well: G is the derivative of the loss, all of it") {
  Drawn<Model<Real, LowRankAdapter>> real(sizes(true));
  Drawn<Model<Complex, LowRankAdapter>> imaginary(sizes(true));
  for (const bool of_keys : {false, true}) {
    const auto map = [&](auto& attention) -> auto& { return of_keys ? attention.key : attention.query; };
    auto& p = map(real.model.blocks()[1].attention);
    auto& q = map(imaginary.model.blocks()[1].attention);
    static std::vector<double> g;  // dyᵀx
    g.assign(std::size_t(p.weight.size()), 0);
    using Projection = std::remove_reference_t<decltype(p)>;
    p.probe.observe = [](const void*, Pass<Real>& pass, const Projection& seen, const Probe<Projection>&, const Probe<Projection>::Sight& sight) {
      pass.device.gemm(1.0, sight.dy.t(), sight.x, 1.0, matrix(g.data(), seen.out(), seen.in()));
    };
    real.model.loss(kBatch);
    p.probe = {};
    std::vector<double> exact;
    for (Index i = 0; i < q.weight.size(); ++i) {
      auto& w = q.weight.view().data[i];
      w += std::complex<double>(0, 1e-50);
      exact.push_back(imaginary.model.evaluate(kBatch).value().imag() / 1e-50);
      w = w.real();
    }
    CHECK(relative_error(g, exact) <= 1e-12);
  }
}

TEST_CASE("a classifier learns, is pruned on the way and compacted, in a loop written by hand that takes no memory") {
  Drawn<Model<Real, LowRankAdapter>> drawn(sizes(true));
  auto& model = drawn.model;
  AdamW optimizer(model, {.rate = 3e-2});
  Pruner pruner(model, FullTaylorImportance{}, EMAMask{.decay = 0.5}, CubicSchedule{.begin = 4, .end = 20, .sparsity = 0.4}, {.every = 4});
  const double first = model.evaluate(kBatch).value();
  double sparsity = 0;
  for (int step = 0; step < 40; ++step) {
    model.loss(kBatch);
    sparsity = pruner.step();
    optimizer.step();
  }
  CHECK(sparsity == doctest::Approx(0.4).epsilon(0.2));
  const double masked = model.evaluate(kBatch).value();
  CHECK(masked < 0.6 * first);
  compact(model);
  CHECK(model.evaluate(kBatch).value() == doctest::Approx(masked).epsilon(1e-12));
  for (int step = 0; step < 3; ++step) {
    const long taken = allocations;
    model.loss(kBatch);
    optimizer.step();
    if (step == 2) CHECK(allocations == taken);  // the first one has found out how much it takes
  }
  CHECK(model.evaluate(kBatch).value() < masked);
}
