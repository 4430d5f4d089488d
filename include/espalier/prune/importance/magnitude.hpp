// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/weight_importance.hpp>

namespace espalier::inline v0 {

/// Σ abs(W),  W = W0 + s B A. Needs no gradient.                                                     Han et al. 2015
struct MagnitudeImportance {
  static constexpr Needs needs = Needs::nothing;

  template <class Device, class Projection, class A>
  void score(Pass<Device>& pass, const Projection& p, Axis axis, View<A, 1> out) const {
    auto scratch = pass.scratch();
    const kernel::MagnitudeElement<typename Projection::W, A> element{detail::effective_weight(scratch, p)};
    add_scores(pass.device, element, p.out(), p.in(), axis, out);
  }
  /// abs(W) of single weights.
  template <class Device, class Projection>
  auto elements(Pass<Device>& pass, const Projection& p, Index) const {
    using A = typename Projection::A;
    return detail::ElementScores<Device, typename Projection::W>(
        pass, detail::effective_weight(pass, p), kernel::ElementScore<A>{{}, {}, A(1), Power::abs, nullptr, {}});
  }
  template <class A>
  ESPALIER_FN A finish(A sum, Index) const {
    return sum;
  }

  template <class F>
  void settings(F&& f) const {
    f("importance", "magnitude");
  }
};

}  // namespace espalier::inline v0
