// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/label_options.hpp>
#include <espalier/core/text_batch.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/gather.hpp>
#include <espalier/kernel/label_loss.hpp>
#include <espalier/kernel/loss.hpp>
#include <espalier/kernel/pointwise.hpp>
#include <espalier/nn/dropout.hpp>
#include <espalier/nn/linear.hpp>
#include <espalier/nn/trained_linear.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// logits = out( f(first(x)) ), through dropout before out and, if asked, before first: BERT's pooler and classifier,
/// RoBERTa's classifier. Names says f, a functor, and what checkpoints call the two maps: first, out.
template <Backend Device, class First, class Names>
struct PooledClassifier {
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using F = typename Names::Pooled;
  struct Activations {
    typename First::Activations first;
    View<const A, 2> u;  // (batch, hidden)
    typename TrainedLinear<Device>::Activations out;
  };

  View<A, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    const auto u = first.forward(pass, before.dropped(pass, x), act.first);
    auto pooled = pass.matrix(u.rows(), u.cols());
    pass.device.for_each(u.size(), kernel::Apply<F, A, T, A>{u.data, pooled.data});
    act.u = u;
    return out.forward(pass, between.dropped(pass, pooled), act.out);
  }
  void backward(Pass<Device>& pass, View<const A, 2> dlogits, const Activations& act, View<T, 2> dx) {
    auto scratch = pass.scratch();
    auto dpooled = scratch.zeros(act.u.rows(), act.u.cols());
    out.backward(scratch, dlogits, act.out, dpooled);
    between.apply(scratch, dpooled);
    auto du = scratch.template matrix<A>(dpooled.rows(), dpooled.cols());
    pass.device.for_each(du.size(), kernel::ApplyBackward<F, A, T, A>{act.u.data, dpooled.data, du.data});
    if (!dx || !before.on(pass)) return first.backward(scratch, du, act.first, dx);
    auto d = scratch.zeros(dx.rows(), dx.cols());
    first.backward(scratch, du, act.first, d);
    before.add(scratch, d, dx);
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(Names::first, self.first);
    f(Names::out, self.out);
  }

  First first;
  TrainedLinear<Device> out;
  Dropout<Device> before{}, between{};
};

/// A classifier of whole sequences on what became of the first token of each, and its loss. The classifier is trained.
template <Backend Device, class Classifier>
class LabelHead {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  /// Labels on the device: classes or values, as the problem asks.
  struct Wanted {
    const int* classes = nullptr;  // (batch)
    View<const A, 2> values;       // (batch, labels)
  };

  LabelHead(Classifier c, const LabelOptions& o) : classifier(std::move(c)), options(o) {}

  Wanted upload(Pass<Device>& pass, const Labels& labels) {
    const Index batch = pass.shape.batch;
    Wanted wanted;
    if (options.kind() == Problem::one_label) {
      require(Index(labels.classes.size()) == batch && labels.values.empty(),
              "batch: {} classes and {} values for {} sequences; expected a class each", labels.classes.size(),
              labels.values.size(), batch);
      for (const int c : labels.classes)
        require(c == kIgnore || (c >= 0 && c < options.count), "batch: class {} is neither -100 nor one of {}", c, options.count);
      auto classes = pass.template vector<int>(batch);
      pass.device.upload(classes.data, labels.classes.data(), batch);
      wanted.classes = classes.data;
    } else {
      require(Index(labels.values.size()) == batch * options.count && labels.classes.empty(),
              "batch: {} values and {} classes for {} sequences; expected {} values each", labels.values.size(),
              labels.classes.size(), batch, options.count);
      values_.assign(labels.values.begin(), labels.values.end());
      auto values = pass.template matrix<A>(batch, options.count);
      pass.device.upload(values.data, values_.data(), values.size());
      wanted.values = values;
    }
    return wanted;
  }

  /// total += loss. learn: gradients are added to the classifier's, and to dh unless it has no data.
  template <class Stem>
  void loss(Pass<Device>& pass, const Stem&, View<const T, 2> h, const Wanted& wanted, const double* weight, A* total, View<T, 2> dh,
            bool learn) {
    const auto x = classifier.forward(pass, gathered(pass, h), act_);
    auto losses = pass.template vector<A>(x.rows());
    if (options.kind() == Problem::one_label) {
      pass.device.for_each_row(x.rows(), kernel::CrossEntropy<A, A>{x, wanted.classes, weight, losses});
    } else if (options.kind() == Problem::regression) {
      pass.device.for_each_row(x.rows(), kernel::SquaredError<A>{x, wanted.values, weight, losses});
    } else {
      pass.device.for_each_row(x.rows(), kernel::BinaryCrossEntropy<A>{x, wanted.values, weight, losses});
    }
    pass.device.for_each_row(1, kernel::SumInto<A>{losses, total});
    if (!learn) return;
    auto d = dh ? pass.zeros(x.rows(), h.cols()) : dh;
    classifier.backward(pass, x, act_, d);
    if (dh) pass.device.for_each_row(d.rows(), kernel::AccumulateRows<T>{d, firsts(pass, dh)});
  }
  /// (batch, labels), on the host.
  template <class Stem>
  std::vector<A> logits(Pass<Device>& pass, const Stem&, View<const T, 2> h) {
    const auto x = classifier.forward(pass, gathered(pass, h), act_);
    std::vector<A> out(std::size_t(x.size()));
    pass.device.download(x.data, out.data(), x.size());
    return out;
  }

  /// None: what a token goes through ends below the classifier.
  template <class Stem, class F>
  static void token_maps(const Stem&, F&&) {}

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("", self.classifier);
  }

  Classifier classifier;
  LabelOptions options;

 private:
  /// The row of the first token of every sequence: a view.
  template <class U>
  static View<U, 2> firsts(const Pass<Device>& pass, View<U, 2> h) {
    return {h.data, {pass.shape.batch, h.cols()}, {pass.shape.seq * h.stride[0], h.stride[1]}};
  }

  static View<const T, 2> gathered(Pass<Device>& pass, View<const T, 2> h) {
    auto x = pass.matrix(pass.shape.batch, h.cols());
    pass.device.for_each_row(x.rows(), kernel::Gather<T>{firsts(pass, h), nullptr, nullptr, x});
    return x;
  }

  typename Classifier::Activations act_{};
  std::vector<A> values_;
};

}  // namespace espalier::inline v0
