// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <espalier/kernel/taylor_tiles.hpp>
#include <espalier/prune/weight_importance.hpp>

namespace espalier::inline v0 {

/// Σ (Ĝ∘W)²,  Ĝ = gB A + B gA − η gB gA,  W = W0 + s B A.                                  LoRAPrune, eq. 9 and 10
/// With a sequential adapter, A W0 and gA W0 stand for A and gA.
///
/// First-order importance from the adapters' gradients alone: the frozen weight's gradient is never formed, nothing of
/// size (out, in) is stored, W is read once. A projection without an adapter contributes nothing.
struct TaylorImportance {
  static constexpr Needs needs = Needs::adapter_gradients;

  Power power = Power::square;
  double eta = 1;        ///< of the second-order term
  bool scaled = false;   ///< s Ĝ instead of Ĝ: matters when projections of different s are added
  bool clipped = false;  ///< gradients as they are after clipping by global norm

  template <class Device, class Projection, class A>
  void score(Pass<Device>& pass, const Projection& p, Axis axis, View<A, 1> out) const {
    if constexpr (detail::LowRank<decltype(p.adapter)>) {
      const auto& adapter = p.adapter;
      if (!adapter.active()) return;
      auto scratch = pass.scratch();
      const auto gradient = adapter.gradient(scratch, p.weight.view());
      const kernel::TaylorElement<typename Projection::W, A> element{
          detail::effective_weight(scratch, p), gradient.b, gradient.u, A(eta), A(scaled ? adapter.scale : 1.0), power,
          clipped ? pass.state : nullptr};
      if (axis == Axis::rows) {
        const kernel::TaylorRows<typename Projection::W, A> rows{{element, out}};
        pass.device.for_each_row(rows.blocks(), rows);
      } else {
        const kernel::TaylorColumns<typename Projection::W, A> columns{{element, out}};
        pass.device.for_each_row(columns.blocks(), columns);
      }
    }
  }
  /// (Ĝ∘W)² of single weights.
  template <class Device, class Projection>
    requires detail::LowRank<decltype(Projection::adapter)>
  auto elements(Pass<Device>& pass, const Projection& p, Index) const {
    using A = typename Projection::A;
    const auto& adapter = p.adapter;
    const auto weight = detail::effective_weight(pass, p);
    const auto gradient = adapter.gradient(pass, p.weight.view());
    const auto shifted = pass.template matrix<A>(weight.a.rows(), weight.a.cols());
    const StepState* const clip = clipped ? pass.state : nullptr;
    pass.device.for_each(shifted.size(), kernel::Shifted<A>{weight.a.data, gradient.u.data, A(eta), clip, shifted.data});
    return detail::ElementScores<Device, typename Projection::W, detail::GuidedGradient<A>>(
        pass, weight,
        kernel::ElementScore<A>{{}, {}, A(scaled ? adapter.scale : 1.0), power, clip, {}},
        detail::GuidedGradient<A>{gradient.b, weight.b, shifted, gradient.u});
  }
  template <class A>
  ESPALIER_FN A finish(A sum, Index) const {
    return sum;
  }

  /// As the published program does it: absolute values of gradients that have been clipped.
  TaylorImportance as_official() const { return {Power::abs, eta, scaled, true}; }

  template <class F>
  void settings(F&& f) const {
    f("importance", "taylor");
    f("power", name_of(power));
    f("eta", format("{}", eta));
    f("scaled", format("{}", scaled));
    f("clipped", format("{}", clipped));
  }
};

}  // namespace espalier::inline v0
