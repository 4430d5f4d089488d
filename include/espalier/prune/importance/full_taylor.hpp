// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/prune/weight_importance.hpp>

namespace espalier::inline v0 {

/// Σ (G∘W)²,  G = dyᵀx the exact gradient of W = W0 + s B A.                                  Molchanov et al. 2017
///
/// G exists a few rows at a time, during backward: no gradient of a frozen weight is ever stored. With several
/// micro-batches the score is that of each one, averaged: the square of their sum would need all activations at once.
struct FullTaylorImportance {
  static constexpr Needs needs = Needs::backward;

  Power power = Power::square;

  /// Rows of G that exist at one time: a function of the width alone, about half a million numbers at most.
  static Index panel_rows(Index in, Index out) {
    return std::min(out, std::clamp<Index>((Index{1} << 19) / in, 16, 256));
  }

  template <class Device, class Projection, class Sight, class A>
  void observe(Pass<Device>& pass, const Projection& p, Axis axis, const Sight& sight, View<A, 1> out) const {
    auto scratch = pass.scratch();
    const Index step = panel_rows(p.in(), p.out());
    auto g = scratch.template matrix<A>(step, p.in());
    const auto weight = detail::effective_weight(scratch, p);
    for (Index i = 0; i < p.out(); i += step) {
      const Index n = std::min(step, p.out() - i);
      pass.device.gemm(A(1), sight.dy.cols(i, n).t(), sight.x, A(0), g.rows(0, n));
      const kernel::GradientElement<typename Projection::W, A> element{weight.rows(i, n), g.rows(0, n), power};
      add_scores(pass.device, element, n, p.in(), axis, axis == Axis::rows ? vector(out.data + i, n) : out);
    }
  }
  /// (G∘W)² of single weights, of one micro-batch.
  template <class Device, class Projection, class Sight>
  auto elements(Pass<Device>& pass, const Projection& p, const Sight& sight) const {
    using A = typename Projection::A;
    using Gradient = detail::ExactGradient<typename Projection::T, A>;
    return detail::ElementScores<Device, typename Projection::W, Gradient>(
        pass, detail::effective_weight(pass, p), kernel::ElementScore<A>{{}, {}, A(1), power, nullptr, {}},
        Gradient{sight.dy, sight.x});
  }
  template <class A>
  ESPALIER_FN A finish(A sum, Index passes) const {
    return sum / A(passes);
  }

  template <class F>
  void settings(F&& f) const {
    f("importance", "full_taylor");
    f("power", name_of(power));
  }
};

}  // namespace espalier::inline v0
