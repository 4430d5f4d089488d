// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/core/error.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/obs.hpp>
#include <espalier/kernel/sparse_gpt.hpp>
#include <espalier/nn/weight_rows.hpp>
#include <espalier/prune/cholesky.hpp>
#include <espalier/prune/importance.hpp>
#include <espalier/prune/input_statistics.hpp>

namespace espalier::inline v0 {

/// ½ Σ_i w_iQ ([H⁻¹]_QQ)⁻¹ w_iQᵀ,  Q the columns of a unit,  H = (2 / n) XᵀX + λ mean(diag) I.       Hassibi et al. 1993
///
/// What leaving costs the output of the projection that reads a unit (o, down), when the rest is fitted anew; rows say
/// nothing. H is of the living: what is masked has left it and costs nothing. It is inverted when units are chosen, not at
/// every step. Memory: (in, in) numbers for every projection that reads units, and twice that of the widest while scoring.
///
/// update: when units leave, the rest of W0 moves by −H⁻¹_:Q ([H⁻¹]_QQ)⁻¹ w_iQᵀ, w of W0 + s B A, once, all that leave at
/// one event together. Frozen weights then change in place: adapters, masks and moments stay what they are; the state of a
/// pruner holds the changed weights; a unit cannot come back; a plan or an adapter file alone does not give the model again.
struct OBSImportance {
  static constexpr Needs needs = Needs::input_products;
  static constexpr bool at_events = true;
  static constexpr bool reads(Axis axis) { return axis == Axis::columns; }
  static constexpr const char* hint =
      "the Hessian of the inputs is not positive definite: let it see more tokens, or raise damp";

  double damp = 0.01;   ///< λ
  double decay = 1;     ///< how much of what was seen stays from step to step
  bool update = false;  ///< the weights that stay make up for those that leave

  template <class Device, class Projection, class A>
  void score(Pass<Device>& pass, const Projection& p, Axis, const Inputs<A>& inputs, View<A, 1> out) const {
    using W = typename Projection::W;
    const Index in = p.in(), width = width_of(p, inputs.units);
    auto scratch = pass.scratch();
    auto& device = pass.device;
    const auto h = scratch.template matrix<A>(in, in), inverse = scratch.template matrix<A>(in, in);
    hessian(scratch, inputs, inputs.units, inputs.units, h);
    invert(scratch, h, inverse);
    const auto weight = detail::effective_weight(scratch, p);
    if (width == 1) {
      const auto factor = scratch.template vector<A>(in);
      device.for_each(in, kernel::SaliencyFactors<A>{inverse, inputs.units, factor});
      add_scores(device, kernel::SaliencyElement<W, A>{weight, factor}, p.out(), in, Axis::columns, out);
      return;
    }
    // [H⁻¹]_QQ = L Lᵀ, and the score is ½ ‖L⁻¹ w_Q‖².
    const Index step = std::min<Index>(p.out(), kPanel);
    const auto square = scratch.template matrix<A>(width, width), w = scratch.template matrix<A>(step, width),
               y = scratch.template matrix<A>(step, width);
    for (Index first = 0; first < in; first += width) {
      const View<const A, 2> own = inverse.rows(first, width).cols(first, width), l = square;
      device.for_each_row(width, kernel::CopyRows<A>{own, square});
      cholesky(scratch, square);
      invert_triangle(scratch, square);
      for (Index i = 0; i < p.out(); i += step) {
        const Index n = std::min(step, p.out() - i);
        device.for_each_row(n, kernel::WeightColumns<W, A>{weight.rows(i, n), first, {}, w.rows(0, n)});
        device.gemm(A(1), View<const A, 2>(w.rows(0, n)), l.t(), A(0), y.rows(0, n));
        const kernel::HalfSquare<A> element{y.rows(0, n), inputs.units, first};
        add_scores(device, element, n, width, Axis::columns, vector(out.data + first, width));
      }
    }
  }
  /// Single weights: W_ij² times this, 1 / (2 [H⁻¹]_jj).
  static constexpr Power element_power = Power::square;
  template <class Device, class Projection, class A>
  void column_factors(Pass<Device>& pass, const Projection& p, const Inputs<A>& inputs, View<A, 1> factor) const {
    auto scratch = pass.scratch();
    const auto h = scratch.template matrix<A>(p.in(), p.in()), inverse = scratch.template matrix<A>(p.in(), p.in());
    hessian(scratch, inputs, {}, {}, h);
    invert(scratch, h, inverse);
    pass.device.for_each(p.in(), kernel::SaliencyFactors<A>{inverse, {}, factor});
  }
  template <class A>
  ESPALIER_FN A finish(A sum, Index) const {
    return sum;
  }

  /// W0_R ← W0_R + w_Q H_QR (H_RR)⁻¹, where Q leaves and R stays: the same as the update above, by blocks.
  template <class Device, class Projection, class A>
  void leave(Pass<Device>& pass, Projection& p, const Inputs<A>& inputs, const OutputMask<A>& before) const {
    using W = typename Projection::W;
    if constexpr (AddsTerm<decltype(p.adapter)>)
      require(!p.adapter.active() || p.adapter.kInput == Axis::columns,
              "OBS: an adapter behind the weight stands between it and what the update aims at; merge it first, or leave "
              "update off");
    const Index in = p.in(), step = std::min<Index>(p.out(), kPanel);
    auto scratch = pass.scratch();
    auto& device = pass.device;
    const auto h = scratch.template matrix<A>(in, in), inverse = scratch.template matrix<A>(in, in);
    hessian(scratch, inputs, before, inputs.units, h);
    invert(scratch, h, inverse);
    hessian(scratch, inputs, before, {}, h);  // of all: products of what leaves with what stays
    const auto leaving = scratch.template vector<A>(in);
    device.for_each(in, kernel::LeavingColumns<A>{before, inputs.units, leaving});
    const auto w = scratch.template matrix<A>(step, in), y = scratch.template matrix<A>(step, in);
    const auto weight = detail::effective_weight(scratch, p);
    for (Index i = 0; i < p.out(); i += step) {
      const Index n = std::min(step, p.out() - i);
      const auto wi = w.rows(0, n), yi = y.rows(0, n);
      device.for_each_row(n, kernel::WeightColumns<W, A>{weight.rows(i, n), 0, leaving, wi});
      device.gemm(A(1), View<const A, 2>(wi), View<const A, 2>(h), A(0), yi);
      device.for_each_row(n, kernel::LivingColumns<A>{inputs.units, yi});
      device.gemm(A(1), View<const A, 2>(yi), View<const A, 2>(inverse), A(0), wi);
      device.for_each(n * in, kernel::AddStored<W, A>{wi.data, p.weight.view().rows(i, n).data});
    }
  }

  /// The same for single weights, whose Q is another one in every row: a Hessian is inverted for each row that loses any, which
  /// is for small projections. SparseGPTImportance is the one for large ones.
  template <class Device, class Projection, class A>
  void leave(Pass<Device>& pass, Projection& p, const Inputs<A>& inputs, View<const std::uint32_t, 2> stay) const {
    using W = typename Projection::W;
    using Bits = View<const std::uint32_t, 2>;
    const Index in = p.in();
    auto scratch = pass.scratch();
    auto& device = pass.device;
    const auto h = scratch.template matrix<A>(in, in), inverse = scratch.template matrix<A>(in, in),
               all = scratch.template matrix<A>(in, in), row = scratch.template matrix<A>(3, in);
    const auto mean = scratch.template vector<A>(1);
    device.for_each_row(1, kernel::MeanDiagonal<A>{inputs.products, inputs.tokens, {}, mean});
    device.for_each_row(in, kernel::KeptHessian<A>{inputs.products, inputs.tokens, mean, A(damp), nullptr, all});
    const auto before = p.weight_mask ? p.weight_mask.bits() : Bits{};
    const WeightRows<Device, W, A> weight(scratch, detail::effective_weight(scratch, p), before);
    const auto w = row.rows(0, 1), y = row.rows(1, 1), d = row.rows(2, 1);
    for (Index i = 0; i < p.out(); ++i) {
      const Bits bits = stay.rows(i, 1);
      weight.write(i, w);
      device.for_each_row(1, kernel::OnlyRemoved<A>{bits, w});
      device.gemm(A(1), View<const A, 2>(w), View<const A, 2>(all), A(0), y);
      device.for_each_row(1, kernel::ZeroRemoved<A>{bits, y});
      device.for_each_row(in, kernel::KeptHessian<A>{inputs.products, inputs.tokens, mean, A(damp), bits.data, h});
      invert(scratch, h, inverse);
      device.gemm(A(1), View<const A, 2>(y), View<const A, 2>(inverse), A(0), d);
      device.for_each(in, kernel::AddStored<W, A>{d.data, p.weight.view().row(i)});
    }
  }

  void check() const {
    detail::check_decay(decay);
    require(damp >= 0, "OBS: damp is {}, expected at least 0", damp);
    require(!update || decay > 0, "OBS: an update needs statistics that last: decay has to be above 0");
  }
  template <class F>
  void settings(F&& f) const {
    f("importance", "obs");
    f("damp", format("{}", damp));
    f("input_decay", format("{}", decay));
    f("update", format("{}", update));
  }

 private:
  static constexpr Index kPanel = 256;  // rows of the weight that are looked at together

  template <class Projection, class A>
  static Index width_of(const Projection& p, const OutputMask<A>& units) {
    if (!units) return 1;
    require(units.width * units.forward.shape[0] == p.in(),
            "OBS: {} units of {} columns each in a projection of {}: a unit's columns have to lie side by side",
            units.forward.shape[0], units.width, p.in());
    return units.width;
  }
  /// H of `of`, damped by the mean over `all`.
  template <class Device, class A>
  void hessian(Pass<Device>& pass, const Inputs<A>& inputs, const OutputMask<A>& all, const OutputMask<A>& of,
               View<A, 2> h) const {
    auto scratch = pass.scratch();
    const auto mean = scratch.template vector<A>(1);
    pass.device.for_each_row(1, kernel::MeanDiagonal<A>{inputs.products, inputs.tokens, all, mean});
    pass.device.for_each_row(h.rows(),
                             kernel::DampedHessian<A>{inputs.products, inputs.tokens, of, mean, A(damp), h});
  }
};

}  // namespace espalier::inline v0
