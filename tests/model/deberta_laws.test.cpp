// SPDX-License-Identifier: MIT
// Whole DeBERTas: gradients by complex step on the loss, masks and compaction with adapters of both kinds, and a training loop.
#include <doctest/doctest.h>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/adapter/sequential.hpp>
#include <espalier/model/deberta_files.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/train/adamw.hpp>

#include "allocations.hpp"
#include "gradients.hpp"

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

template <class Device, template <class> class Adapter>
struct Drawn {
  using Model = DebertaForSequenceClassification<Device, Adapter>;
  Device device;
  Model model;
  explicit Drawn(const DebertaConfig& c) : model(device, {c}, {.rank = 2}) { randomise(model, 3); }
  void mask(const std::string& kind) {
    model.groups([&](auto group) {
      std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
      if (group.kind == kind || kind.empty()) alive[std::size_t(group.layer)] = 0;
      group.mask->set(device, alive);
    });
  }
};

template <template <class> class Adapter>
double gradient_error(bool shared) {
  Drawn<Real, Adapter> real(sizes(shared));
  Drawn<Complex, Adapter> imaginary(sizes(shared));
  real.mask(""), imaginary.mask("");
  real.model.loss(kBatch);
  Gradients got, exact;
  for_each_parameter(real.model, [&](const std::string&, auto& p) { got.tensors.emplace_back(p.grad.data, p.grad.data + p.size()); });
  for_each_parameter(imaginary.model, [&](const std::string& path, auto& p) {
    std::vector<double> slopes;
    for (Index i = 0; i < p.size(); ++i) {
      p.value.data[i] += std::complex<double>(0, 1e-50);
      slopes.push_back(imaginary.model.evaluate(kBatch).value().imag() / 1e-50);
      p.value.data[i] = p.value.data[i].real();
    }
    exact.tensors.push_back(std::move(slopes));
    exact.names.push_back(path);
  });
  return worst_error(got, exact);
}

template <template <class> class Adapter>
void expect_compacted(bool shared, const std::string& kind) {
  CAPTURE(shared);
  CAPTURE(kind);
  Drawn<Real, Adapter> drawn(sizes(shared));
  auto& model = drawn.model;
  const auto whole = model.logits(kBatch);
  drawn.mask(kind);
  const auto masked = model.logits(kBatch);
  CHECK(relative_error(masked, whole) > 1e-3);
  compact(model);
  CHECK(relative_error(model.logits(kBatch), masked) <= 1e-12);
  merge(model);
  CHECK(relative_error(model.logits(kBatch), masked) <= 1e-12);
  unmerge(model);
  CHECK(relative_error(model.logits(kBatch), masked) <= 1e-10);
}

}  // namespace

TEST_CASE("gradients are the derivative of the loss, with maps of positions shared and apart") {
  for (const bool shared : {true, false}) {
    CHECK(gradient_error<LowRankAdapter>(shared) <= 1e-12);
    CHECK(gradient_error<SequentialAdapter>(shared) <= 1e-12);
  }
}

TEST_CASE("masked == compacted == merged for each group, with adapters beside and behind the weight") {
  for (const bool shared : {true, false})
    for (const char* kind : {"heads", "channels"}) {
      expect_compacted<LowRankAdapter>(shared, kind);
      expect_compacted<SequentialAdapter>(shared, kind);
    }
}

TEST_CASE("an exact score of a shared map counts what positions say as well: G is the derivative of the loss, all of it") {
  Drawn<Real, LowRankAdapter> real(sizes(true));
  Drawn<Complex, LowRankAdapter> imaginary(sizes(true));
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
  Drawn<Real, LowRankAdapter> drawn(sizes(true));
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
