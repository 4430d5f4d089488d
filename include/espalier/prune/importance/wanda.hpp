// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <espalier/kernel/wanda.hpp>
#include <espalier/prune/importance.hpp>
#include <espalier/prune/input_statistics.hpp>

namespace espalier::inline v0 {

/// Σ abs(W_ij) ‖x_j‖,  W = W0 + s B A,  ‖x_j‖² = Σ_t x_tj².                                         Sun et al. 2024
///
/// Inputs are those of the steps that are scored, one as much as another where decay is 1; where it is less, recent steps
/// count more, 0 being the step alone. They are seen in backward, and no gradient of theirs is used. What is behind a
/// mask is zero, so that a masked unit's columns say less and less.
struct WandaImportance {
  static constexpr Needs needs = Needs::input_squares;

  double decay = 1;   ///< how much of what was seen stays from step to step
  bool mean = true;   ///< ‖x_j‖ / √tokens, the running mean of the published program: the same ranking at every step,
                      ///< but a scale that does not grow from step to step

  template <class Device, class Projection, class A>
  void score(Pass<Device>& pass, const Projection& p, Axis axis, const Inputs<A>& inputs, View<A, 1> out) const {
    auto scratch = pass.scratch();
    const auto norm = scratch.template vector<A>(p.in());
    pass.device.for_each(p.in(), kernel::InputNorms<A>{inputs.squares, inputs.tokens, mean, norm});
    const kernel::WandaElement<typename Projection::W, A> element{detail::effective_weight(scratch, p), norm};
    add_scores(pass.device, element, p.out(), p.in(), axis, out);
  }
  /// Single weights: abs(W_ij) times this, as a rule within a row.
  static constexpr Power element_power = Power::abs;
  template <class Device, class Projection, class A>
  void column_factors(Pass<Device>& pass, const Projection& p, const Inputs<A>& inputs, View<A, 1> factor) const {
    pass.device.for_each(p.in(), kernel::InputNorms<A>{inputs.squares, inputs.tokens, mean, factor});
  }
  template <class A>
  ESPALIER_FN A finish(A sum, Index) const {
    return sum;
  }

  void check() const { detail::check_decay(decay); }

  template <class F>
  void settings(F&& f) const {
    f("importance", "wanda");
    f("input_decay", format("{}", decay));
    f("mean", format("{}", mean));
  }
};

}  // namespace espalier::inline v0
