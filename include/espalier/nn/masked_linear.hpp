// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/output_mask.hpp>
#include <espalier/kernel/term.hpp>
#include <espalier/nn/weight_rows.hpp>
#include <utility>

namespace espalier::inline v0::detail {

// y = x (W∘M)ᵀ + b,  W = W0 + s B U: of the masked weight a few rows exist at a time.        U = A, or A W0 behind the weight
// dx += dy (W∘M),  dB += s (M∘G) Uᵀ,  dU += s Bᵀ (M∘G),  G = dyᵀ x, a few rows at a time as well.
template <class Projection>
struct MaskedLinear {
  using Device = typename Projection::DeviceType;
  using T = typename Projection::T;
  using W = typename Projection::W;
  using A = typename Projection::A;
  using Adapter = decltype(Projection::adapter);
  static constexpr bool kAdapted = AddsTerm<Adapter>;

  Pass<Device>& pass;
  Projection& p;
  const OutputMask<A>& units;

  void forward(View<const T, 2> x, View<T, 2> y) const {
    if constexpr (kAdapted)
      require(!pass.training || !p.adapter.active() || p.adapter.dropout == 0,
              "a mask on single weights works on the weight with its adapter in it, which dropout has none of: its rate is {}, and "
              "has to be 0",
              p.adapter.dropout);
    const WeightRows<Device, W, T> weight(pass, sum(), p.weight_mask.bits());
    const Index step = panel_rows(p.out(), p.in());
    const auto panel = pass.matrix(step, p.in());
    for (Index i = 0; i < p.out(); i += step) {
      const Index n = std::min(step, p.out() - i);
      weight.write(i, panel.rows(0, n));
      pass.device.gemm(A(1), x, View<const T, 2>(panel.rows(0, n)).t(), A(0), y.cols(i, n));
    }
    if (const auto bias = added_bias()) pass.device.for_each_row(y.rows(), kernel::AddBias<T, A>{bias, y});
    if (mixes() && units) mask(y, units.forward, y);
  }

  void backward(View<const T, 2> x, View<const T, 2> dy, View<T, 2> dx) const {
    if (mixes() && units) {
      const auto masked = pass.matrix(dy.rows(), dy.cols());
      mask(dy, units.backward, masked);
      dy = masked;
    }
    const auto w = sum();
    const WeightRows<Device, W, T> weight(pass, w, p.weight_mask.bits());
    const Index step = panel_rows(p.out(), p.in());
    const auto panel = pass.matrix(step, p.in());
    View<A, 2> wide{}, g{}, du{};
    if constexpr (!std::is_same_v<T, A>)
      if (dx) wide = pass.template zeros<A>(dx.rows(), dx.cols());  // a sum over panels is rounded once
    if (w.b) g = pass.template matrix<A>(step, p.in());
    if (w.a) du = pass.template zeros<A>(w.a.rows(), w.a.cols());
    for (Index i = 0; i < p.out(); i += step) {
      const Index n = std::min(step, p.out() - i);
      const auto dyi = dy.cols(i, n);
      if (dx) {
        weight.write(i, panel.rows(0, n));
        const View<const T, 2> rows = panel.rows(0, n);
        if constexpr (std::is_same_v<T, A>) pass.device.gemm(A(1), dyi, rows, A(1), dx);
        else pass.device.gemm(A(1), dyi, rows, A(1), wide);
      }
      if constexpr (kAdapted) {
        if (!w.b) continue;
        const auto gi = g.rows(0, n);
        pass.device.gemm(A(1), dyi.t(), x, A(0), gi);
        if (!p.weight_mask.straight_through)
          pass.device.for_each_row(n, kernel::ZeroRemoved<A>{p.weight_mask.bits().rows(i, n), gi});
        const View<const A, 2> gc = gi;
        if (!w.a) {  // U is the identity
          pass.device.for_each(gc.size(), kernel::Accumulate<A>{gc.data, p.adapter.b.grad.row(i)});
          continue;
        }
        pass.device.gemm(w.scale, gc, w.a.t(), A(1), p.adapter.b.grad.rows(i, n));
        pass.device.gemm(w.scale, w.b.rows(i, n).t(), gc, A(1), du);
      }
    }
    if constexpr (!std::is_same_v<T, A>)
      if (dx) pass.device.for_each(dx.size(), kernel::AddStored<T, A>{wide.data, dx.data});
    if constexpr (kAdapted && requires { p.adapter.a; })
      if (w.a) {
        p.adapter.receive(pass, View<const W, 2>(p.weight.view()), View<const A, 2>(du), units);
        if (mixes() && !p.bias.empty()) through_bias(dy);
      }
  }

 private:
  /// Whether one output depends on others: the adapter stands behind the weight, and works on the bias too.
  bool mixes() const {
    if constexpr (kAdapted) return p.adapter.active() && p.adapter.kInput == Axis::rows;
    return false;
  }
  kernel::LowRankSum<W, A> sum() const {
    kernel::LowRankSum<W, A> w{std::as_const(p.weight).view(), {}, {}, A(0)};
    if constexpr (kAdapted)
      if (p.adapter.active()) {
        const auto term = p.adapter.term(pass, w.w, units);
        w.b = term.b, w.a = term.u, w.scale = A(term.scale);
      }
    return w;
  }
  View<const A, 1> added_bias() const {
    if (p.bias.empty()) return {};
    if constexpr (kAdapted)
      if (mixes()) {
        const auto term = p.adapter.term(pass, bias_column(), units);
        const auto b = pass.template matrix<A>(p.out(), 1);
        pass.device.for_each(p.out(), kernel::Copy<A, A>{bias_column().data, b.data});
        pass.device.gemm(A(term.scale), term.b, term.u, A(1), b);
        return vector<const A>(b.data, p.out());
      }
    return std::as_const(p.bias).view();
  }
  View<const A, 2> bias_column() const { return matrix(std::as_const(p.bias).view().data, p.out(), Index{1}); }
  /// b' = b + s B A b, of which the outputs' sum over tokens is the gradient.
  void through_bias(View<const T, 2> dy) const {
    if constexpr (kAdapted && requires { p.adapter.a; }) {
      const auto term = p.adapter.term(pass, bias_column(), units);
      const auto ones = pass.matrix(dy.rows(), 1);
      pass.device.for_each(ones.size(), kernel::Fill<T>{ones.data, T(1.0f)});
      const auto g = pass.template matrix<A>(p.out(), 1), du = pass.template matrix<A>(term.u.rows(), 1);
      pass.device.gemm(A(1), dy.t(), View<const T, 2>(ones), A(0), g);
      const View<const A, 2> gc = g;
      pass.device.gemm(A(term.scale), gc, term.u.t(), A(1), p.adapter.b.grad);
      pass.device.gemm(A(term.scale), term.b.t(), gc, A(0), du);
      p.adapter.receive(pass, bias_column(), View<const A, 2>(du), units);
    }
  }
  void mask(View<const T, 2> x, View<const A, 1> bits, View<T, 2> y) const {
    pass.device.for_each_row(x.rows(), kernel::MaskOutputs<T, A>{x, bits, units.width, y});
  }
};

}  // namespace espalier::inline v0::detail
