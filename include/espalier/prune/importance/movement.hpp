// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/importance/signed_taylor.hpp>
#include <espalier/prune/options.hpp>
#include <espalier/prune/weight_importance.hpp>

namespace espalier::inline v0 {

/// S ← S − rate Σ G∘W at every step, and what moves away from zero is kept.                          Sanh et al. 2020
///
/// Over the part of a unit the sum needs activations alone, as for SignedTaylorImportance, whose sign is not lost here.
/// This is what one step adds; SumMask adds it up:  Pruner(model, MovementImportance{}, SumMask{}, schedule). EMAMask
/// forgets instead, and its scores are those of recent steps. Scores are signed, so that projections are not normalised
/// unless somebody asks for it. A masked unit's G is zero and its score stays; with Revival::straight_through backward
/// does not see masks, and its score goes on moving, as in the paper.
struct MovementImportance {
  static constexpr Needs needs = Needs::backward;
  static constexpr Normalise normalise = Normalise::none;

  double rate = 1;

  template <class Device, class Projection, class Sight, class A>
  void observe(Pass<Device>& pass, const Projection& p, Axis axis, const Sight& sight, View<A, 1> out) const {
    SignedTaylorImportance{}.observe(pass, p, axis, sight, out);
  }
  /// S ← S − rate G∘W of single weights: a number per weight, kept for as long as there is something to prune.
  static constexpr bool sums_over_steps = true;
  template <class Device, class Projection, class Sight, class A>
  void accumulate(Pass<Device>& pass, const Projection& p, const Sight& sight, View<A, 2> sum) const {
    auto scratch = pass.scratch();
    const Index step = panel_rows(p.out(), p.in());
    const auto g = scratch.template matrix<A>(step, p.in()), w = scratch.template matrix<A>(step, p.in());
    const WeightRows<Device, typename Projection::W, A> weight(scratch, detail::effective_weight(scratch, p));
    for (Index i = 0; i < p.out(); i += step) {
      const Index n = std::min(step, p.out() - i);
      pass.device.gemm(A(1), sight.dy.cols(i, n).t(), sight.x, A(0), g.rows(0, n));
      weight.write(i, w.rows(0, n));
      pass.device.for_each(n * p.in(), kernel::Moved<A>{g.data, w.data, A(rate), sum.rows(i, n).data});
    }
  }
  template <class A>
  ESPALIER_FN A finish(A sum, Index) const {
    return A(-rate) * sum;
  }

  template <class F>
  void settings(F&& f) const {
    f("importance", "movement");
    f("rate", format("{}", rate));
  }
};

}  // namespace espalier::inline v0
