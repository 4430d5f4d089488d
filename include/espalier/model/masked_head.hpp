// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/core/text_batch.hpp>
#include <espalier/nn/language_head.hpp>
#include <espalier/nn/layer_norm.hpp>
#include <espalier/nn/linear.hpp>
#include <espalier/nn/mlp.hpp>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// What checkpoints call the parts of a head for hidden tokens.
struct MaskedNames {
  const char *transform, *norm, *bias;
};

/// logits = norm(f(transform(h))) Eᵀ + b,  E the word embedding: which token a masked place hides.    Devlin et al. 2018
template <Backend Device, template <class> class Adapter>
class MaskedHead {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  struct Wanted {
    const int* classes = nullptr;  // (tokens)
  };

  MaskedHead(Device& device, const MaskedNames& names, Index hidden, Index vocab, ActivationFunction function, double eps,
             const typename Projection::Options& options)
      : transform(device, hidden, hidden, true, names.transform, options), norm(device, hidden, eps), bias(device, vocab),
        names_(names), function_(function), ones_(device, hidden) {
    device.for_each(hidden, kernel::Fill<A>{ones_.view().data, A(1)});
  }

  Wanted upload(Pass<Device>& pass, const Labels& labels) {
    const Index n = pass.shape.tokens();
    require(Index(labels.classes.size()) == n && labels.values.empty(), "batch: {} labels for {} tokens",
            labels.classes.size(), n);
    for (const int c : labels.classes)
      require(c == kIgnore || (c >= 0 && c < bias.shape(0)), "batch: label {} is neither -100 nor in the vocabulary of {}",
              c, bias.shape(0));
    auto classes = pass.template vector<int>(n);
    pass.device.upload(classes.data, labels.classes.data(), n);
    return {classes.data};
  }

  template <class Stem>
  void loss(Pass<Device>& pass, const Stem& stem, View<const T, 2> h, const Wanted& wanted, const double* weight, A* total,
            View<T, 2> dh, bool learn) {
    const auto n = forward(pass, h);
    const bool backward = learn && (dh || transform.adapter.active());
    auto dn = backward ? pass.matrix(h.rows(), h.cols()) : View<T, 2>{};
    language_loss<Device>(pass, n, stem.table(), wanted.classes, weight, total, dn, bias.view());
    if (!backward) return;
    auto scratch = pass.scratch();
    auto df = scratch.zeros(h.rows(), h.cols()), du = scratch.matrix(h.rows(), h.cols());
    norm.backward(scratch, dn, norm_, df);
    with_function(function_, [&](auto f) {
      pass.device.for_each_row(du.rows(), kernel::ActivateBackward<decltype(f), T, A>{transform_.y, df, ones_.view(), du});
    });
    transform.backward(scratch, du, transform_, dh);
  }
  /// (tokens, vocab), on the host.
  template <class Stem>
  std::vector<A> logits(Pass<Device>& pass, const Stem& stem, View<const T, 2> h) {
    const auto n = forward(pass, h);
    const Index vocab = bias.shape(0), step = logit_rows(vocab, n.rows());
    std::vector<A> out(std::size_t(n.rows() * vocab));
    auto some = pass.template matrix<A>(step, vocab);
    for (Index i = 0; i < n.rows(); i += step) {
      const Index rows = std::min(step, n.rows() - i);
      pass.device.gemm(A(1), n.rows(i, rows), stem.table().t(), A(0), some.rows(0, rows));
      pass.device.for_each_row(rows, kernel::AddBias<A, A>{bias.view(), some});
      pass.device.download(some.data, out.data() + i * vocab, rows * vocab);
    }
    return out;
  }

  template <class Stem, class F>
  void token_maps(const Stem& stem, F&& f) const {
    f(transform.out(), transform.in());
    f(stem.table().rows(), stem.table().cols());
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(self.names_.transform, self.transform);
    f(self.names_.norm, self.norm);
    f(self.names_.bias, self.bias);
  }

  Projection transform;
  LayerNorm<Device> norm;
  Tensor<Device, A, 1> bias;  // (vocab)

 private:
  View<const T, 2> forward(Pass<Device>& pass, View<const T, 2> h) {
    const auto u = transform.forward(pass, h, transform_);
    auto f = pass.matrix(u.rows(), u.cols());
    with_function(function_, [&](auto kind) {
      pass.device.for_each_row(f.rows(), kernel::Activate<decltype(kind), T, A>{u, std::as_const(ones_).view(), f});
    });
    return norm.forward(pass, f, norm_);
  }

  MaskedNames names_;
  ActivationFunction function_;
  Tensor<Device, A, 1> ones_;  // (hidden): nothing is masked
  typename Projection::Activations transform_{};
  typename LayerNorm<Device>::Activations norm_{};
};

}  // namespace espalier::inline v0
