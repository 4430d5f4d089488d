// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/kernel/sparse_gpt.hpp>
#include <espalier/prune/cholesky.hpp>
#include <espalier/prune/input_statistics.hpp>
#include <espalier/prune/select_lowest.hpp>
#include <espalier/prune/select_weights.hpp>
#include <espalier/prune/weight_importance.hpp>
#include <numeric>

namespace espalier::inline v0 {

/// w²/U_jj²,  H⁻¹ = UᵀU,  H = (2 / n) XᵀX + λ mean(diag) I: columns from left to right, and those to the right of what leaves
/// make up for it.                                                                          Frantar & Alistarh 2023, alg. 1
///
/// Unstructured, k = floor(n s + ½) of the n weights leave: every block of columns has its share of k, but for rounding, and
/// its weights are chosen when it is reached; with n:m when the m are. What a block does to those behind it is one product.
/// The weights that stay change in place: W0 moves by what W0 + s B A has to, and only masks on single weights know this
/// score. While a projection is chosen, one copy of it is there, and twice its Hessian.
///
/// official: one more leaves each block, as a comparison with ≤ at the place ⌊n s⌋ has it in the published program.
struct SparseGPTImportance {
  static constexpr Needs needs = Needs::input_products;
  static constexpr bool chooses_weights = true;  ///< and changes those that stay
  static constexpr const char* hint =
      "the Hessian of the inputs is not positive definite: let it see more tokens, or raise damp";

  double damp = 0.01;   ///< λ
  double decay = 1;     ///< how much of what was seen stays from step to step
  Index block = 128;    ///< columns that are chosen together and updated lazily
  bool official = false;

  /// Bits into choice.chosen, and the weights changed; false, and nothing changed, where a number was not finite.
  template <class Device, class Projection, class A>
  bool choose(Pass<Device>& pass, Projection& p, const Inputs<A>& inputs, const WeightPattern& pattern, double share,
              const WeightChoice& choice) const {
    using W = typename Projection::W;
    auto scratch = pass.scratch();
    auto& device = pass.device;
    const Index out = p.out(), in = p.in(), step = panel_rows(out, in);
    const bool groups = pattern.kind == WeightPattern::Kind::n_of_m;
    const Index m = groups ? pattern.m : 0, wide = std::min(in, groups ? std::lcm(block, m) : block);
    const auto l = scratch.template matrix<A>(in, in);
    factor(scratch, inputs, l);
    const WeightRows<Device, W, A> weight(scratch, detail::effective_weight(scratch, p),
                                          p.weight_mask ? p.weight_mask.bits() : View<const std::uint32_t, 2>{});
    const auto w = scratch.template matrix<A>(out, in);
    for (Index i = 0; i < out; i += step) weight.write(i, w.rows(i, std::min(step, out - i)));

    const auto error = scratch.template matrix<A>(out, wide), score = scratch.template matrix<A>(out, wide);
    const auto removed = scratch.template matrix<std::uint8_t>(out, wide);
    const Index leaving = WeightPattern::count(out * in, share);
    for (Index first = 0; first < in; first += wide) {
      const Index n = std::min(wide, in - first), after = in - first - n;
      const auto e = matrix(error.data, out, n);
      const auto r = matrix(removed.data, out, n);
      if (!groups) {
        const auto s = matrix(score.data, out, n);
        device.for_each_row(out, kernel::BlockSaliency<A>{w, l, first, choice.gone, s});
        const Index some = official ? one_too_many(out * n, share) : leaving_of_block(leaving, out, in, wide, first);
        select_lowest(scratch, View<const A, 1>(flat(s)), some, flat(r));
      }
      const Index k = groups ? std::min(WeightPattern::count(m, share), m - pattern.n) : 0;
      device.for_each_row(out, kernel::SparseGptBlock<A>{w, l, first, m, k, choice.gone, r, e});
      device.for_each_row(out, kernel::PackKept{r, choice.chosen.cols(first / kernel::kBitsPerWord, kernel::bit_words(n))});
      if (after > 0)
        device.gemm(A(-1), View<const A, 2>(e), View<const A, 2>(l).rows(first + n, after).cols(first, n).t(), A(1),
                    w.cols(first + n, after));
    }
    device.for_each_row(1, kernel::NotFinite<A>{flat(View<const A, 2>(w)), choice.bad});
    int bad = 0;
    device.download(choice.bad, &bad, 1);
    if (bad != 0) return false;

    const auto panel = scratch.template matrix<A>(step, in);
    for (Index i = 0; i < out; i += step) {
      const auto d = panel.rows(0, std::min(step, out - i));
      weight.write(i, d);
      device.for_each_row(d.rows(), kernel::ChangeOfKept<A>{w.rows(i, d.rows()), choice.chosen.rows(i, d.rows()), d});
      device.for_each(d.size(), kernel::AddStored<W, A>{d.data, p.weight.view().rows(i, d.rows()).data});
    }
    return true;
  }

  void check() const {
    detail::check_decay(decay);
    require(damp >= 0, "SparseGPT: damp is {}, expected at least 0", damp);
    require(block >= kernel::kBitsPerWord && block % kernel::kBitsPerWord == 0,
            "SparseGPT: block is {}, expected a multiple of {}", block, kernel::kBitsPerWord);
  }
  void check(const WeightPattern& pattern) const {
    require(pattern.kind != WeightPattern::Kind::blocks,
            "SparseGPT chooses weight by weight, and {} leave together: unstructured and n:m it can", pattern.name());
    require(pattern.kind == WeightPattern::Kind::n_of_m || pattern.within == Within::projection,
            "SparseGPT compares the weights of some columns of one projection, not within a {}", name_of(pattern.within));
  }
  template <class F>
  void settings(F&& f) const {
    f("importance", "sparsegpt");
    f("damp", format("{}", damp));
    f("input_decay", format("{}", decay));
    f("block", format("{}", block));
    f("official", format("{}", official));
  }

 private:
  static Index one_too_many(Index n, double share) { return std::min(n, Index(std::floor(double(n) * share)) + 1); }
  /// How many of k come from the columns first …: a narrower block at the end has its share, rounded, and the others divide
  /// what is left, of which one more comes from the earlier ones. Where k grows none of these numbers becomes less, so that
  /// what is gone can stay gone; a running sum that is rounded block by block would not do.
  static Index leaving_of_block(Index k, Index out, Index in, Index wide, Index first) {
    const Index whole = in / wide, narrow = out * (in % wide), at_end = (2 * k * narrow + out * in) / (2 * out * in);
    if (first == whole * wide) return at_end;
    return (k - at_end) / whole + (first / wide < (k - at_end) % whole ? 1 : 0);
  }
  /// l ← Uᵀ.
  template <class Device, class A>
  void factor(Pass<Device>& pass, const Inputs<A>& inputs, View<A, 2> l) const {
    auto scratch = pass.scratch();
    const auto h = scratch.template matrix<A>(l.rows(), l.cols());
    const auto mean = scratch.template vector<A>(1);
    pass.device.for_each_row(1, kernel::MeanDiagonal<A>{inputs.products, inputs.tokens, {}, mean});
    pass.device.for_each_row(h.rows(), kernel::KeptHessian<A>{inputs.products, inputs.tokens, mean, A(damp), nullptr, h});
    invert(scratch, h, l);
    cholesky(scratch, l);
  }
};

}  // namespace espalier::inline v0
