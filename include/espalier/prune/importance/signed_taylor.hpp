// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <espalier/prune/importance.hpp>

namespace espalier::inline v0 {

/// ( Σ G∘W over one projection's part of a unit )², then added over the unit's projections.   after Michel et al. 2019
///
/// Rows: Σ_j G_ij W_ij = Σ_t dy_ti (y_ti − b_i). Columns: Σ_i G_ij W_ij = Σ_t dx_tj x_tj. Exact, and nearly free while
/// backward runs; sums over micro-batches before it is squared, as the gradient does. Exact without adapter dropout.
struct SignedTaylorImportance {
  static constexpr Needs needs = Needs::backward;

  Power power = Power::square;

  template <class Device, class Projection, class Sight, class A>
  void observe(Pass<Device>& pass, const Projection& p, Axis axis, const Sight& sight, View<A, 1> out) const {
    using X = typename Device::Activation;
    require(axis == Axis::columns ? bool(sight.dx) || !sight.x : bool(sight.y) || !sight.x,
            "signed Taylor score: backward did not hand over {} of a projection of shape ({}, {})",
            axis == Axis::columns ? "dx" : "y", p.out(), p.in());
    auto scratch = pass.scratch();
    const kernel::SignedScore<X, A> kernel =
        axis == Axis::rows
            ? kernel::SignedScore<X, A>{sight.y, sight.dy, detail::effective_bias(scratch, p), out}
            : kernel::SignedScore<X, A>{sight.x, sight.dx, {}, out};
    pass.device.for_each_row(kernel.blocks(), kernel);
  }
  template <class A>
  ESPALIER_FN A finish(A sum, Index) const {
    return raised(power, sum);
  }

  template <class F>
  void settings(F&& f) const {
    f("importance", "signed_taylor");
    f("power", name_of(power));
  }
};

}  // namespace espalier::inline v0
