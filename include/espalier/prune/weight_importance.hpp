// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/weight_score.hpp>
#include <espalier/nn/weight_rows.hpp>
#include <espalier/prune/importance.hpp>

namespace espalier::inline v0 {

/// A score of single weights has a verb that returns scores(first, panel), which writes those of rows first … of a
/// projection into a panel of numbers, as often as it is asked:
///
///   elements(Pass<Device>&, const Projection&, Index number)            nothing, adapter gradients
///   elements(Pass<Device>&, const Projection&, const Sight&)            backward: while it runs, and not after
///
/// number is the projection's among those that are pruned. What is returned lasts as long as the pass. Others say it in
/// another way:
///
///   column_factors(pass, p, const Inputs<A>&, View<A, 1> factor), Power element_power    abs(W_ij) or W_ij² times factor(j)
///   accumulate(pass, p, const Sight&, View<A, 2> sum), bool sums_over_steps        a sum that takes a number per weight
///   choose(pass, p, const Inputs<A>&, pattern, share, choice), bool chooses_weights   bits, and weights that make up for them
template <class Score>
concept WeightImportance = std::is_trivially_copyable_v<Score> && requires(const Score& score) {
  { Score::needs } -> std::convertible_to<Needs>;
  score.settings(AnyListener{});
};

namespace detail {

/// No gradient takes part.
struct NoGradient {
  static constexpr bool present = false;
};

/// raised(power, factor g∘W) column, with W = W0 + s B A and g as `gradient(first, panel)` writes it.
template <Backend Device, class W, class Gradient = NoGradient>
class ElementScores {
 public:
  using A = typename Device::Accumulate;

  ElementScores(Pass<Device>& pass, const kernel::LowRankSum<W, A>& weight, kernel::ElementScore<A> score,
                Gradient gradient = {})
      : device_(&pass.device), weight_(pass, weight), score_(score), gradient_(gradient) {
    if constexpr (Gradient::present)
      panel_ = pass.template matrix<A>(panel_rows(weight.w.rows(), weight.w.cols()), weight.w.cols());
  }
  void operator()(Index first, View<A, 2> x) const {
    auto score = score_;
    if constexpr (Gradient::present) {
      gradient_(*device_, first, panel_.rows(0, x.rows()));
      score.g = panel_.rows(0, x.rows());
    }
    weight_.write(first, x);
    score.x = x;
    device_->for_each_row(x.rows(), score);
  }

 private:
  Device* device_;
  WeightRows<Device, W, A> weight_;
  kernel::ElementScore<A> score_;
  Gradient gradient_;
  View<A, 2> panel_{};
};

/// G = dyᵀx.                                                                       dy: (tokens, out), x: (tokens, in)
template <class X, class A>
struct ExactGradient {
  static constexpr bool present = true;
  View<const X, 2> dy, x;
  template <class Device>
  void operator()(Device& device, Index first, View<A, 2> g) const {
    device.gemm(A(1), dy.cols(first, g.rows()).t(), x, A(0), g);
  }
};

/// Ĝ = gB (A − η gA) + B gA: a product of rank 2r.
template <class A>
struct GuidedGradient {
  static constexpr bool present = true;
  View<const A, 2> db, b;        // (out, rank)
  View<const A, 2> shifted, da;  // (rank, in): A − η gA, and gA
  template <class Device>
  void operator()(Device& device, Index first, View<A, 2> g) const {
    device.gemm(A(1), db.rows(first, g.rows()), shifted, A(0), g);
    device.gemm(A(1), b.rows(first, g.rows()), da, A(1), g);
  }
};

}  // namespace detail
}  // namespace espalier::inline v0
