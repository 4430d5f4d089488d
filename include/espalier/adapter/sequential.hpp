// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/adapter/low_rank_pair.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/output_mask.hpp>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// Behind the weight: z = h + s (h Aᵀ) Bᵀ,   h = x Wᵀ + b,   A: (rank, out), B: (out, rank). Merged: W ← (I + s B A) W and
/// b ← (I + s B A) b.                                                                             LoRAPrune v1, section 3
///
/// dB += s dzᵀu,  du = s dz B,  dA += duᵀh,  dh = dz + du A,  u = h Aᵀ. An output depends on all of h, so that masks on
/// outputs work on both sides: z = M∘(I + s B A)(M∘h). With dropout, u sees h dropped out.
template <Backend Device>
class SequentialAdapter : public LowRankPair<Device> {
 public:
  using Pair = LowRankPair<Device>;
  using T = typename Pair::T;
  using X = typename Pair::X;
  using typename Pair::Options;
  using Pair::a, Pair::b, Pair::scale, Pair::active, Pair::rank;
  struct Activations {
    View<const X, 2> h;  // (tokens, out), masked
    View<const T, 2> u;  // (tokens, rank)
  };
  static constexpr Axis kInput = Axis::rows;  ///< the side of the weight that A works on

  SequentialAdapter() = default;
  SequentialAdapter(Device&, Index, Index out, const std::string& path, const Options& options)
      : Pair(out, out, path, options) {}

  /// y is the projection's own output, which stays; what is returned is the projection's with its adapter.
  View<X, 2> forward(Pass<Device>& pass, View<const X, 2>, View<X, 2> y, const OutputMask<T>& mask, Activations& act) const {
    if (!active()) return y;
    auto z = pass.template matrix<X>(y.rows(), y.cols());
    auto u = pass.template matrix<T>(y.rows(), rank());
    if (mask) apply(pass, y, mask.forward, mask.width, y);
    {
      auto scratch = pass.scratch();
      const auto in = this->dropping(pass) ? this->dropped(scratch, y) : View<const X, 2>(y);
      pass.device.gemm(T(1), in, a.value.t(), T(0), u);
    }
    pass.device.for_each(z.size(), kernel::Copy<X, X>{y.data, z.data});
    pass.device.gemm(T(scale), u, b.value.t(), T(1), z);
    if (mask) apply(pass, z, mask.forward, mask.width, z);
    act = {y, u};
    return z;
  }

  /// Returns the gradient of the projection's own output: dh.
  View<const X, 2> backward(Pass<Device>& pass, View<const X, 2> dy, const OutputMask<T>& mask, const Activations& act,
                            View<X, 2>) {
    if (!active()) return dy;
    auto dh = pass.template matrix<X>(dy.rows(), dy.cols());
    auto scratch = pass.scratch();
    View<const X, 2> dz = dy;
    if (mask) {
      auto masked = scratch.template matrix<X>(dy.rows(), dy.cols());
      apply(scratch, dy, mask.backward, mask.width, masked);
      dz = masked;
    }
    auto du = scratch.template matrix<T>(dy.rows(), rank());
    pass.device.gemm(T(scale), dz.t(), act.u, T(1), b.grad);
    pass.device.gemm(T(scale), dz, b.value, T(0), du);
    const View<const T, 2> duc = du;
    const bool dropping = this->dropping(pass);
    pass.device.gemm(T(1), duc.t(), dropping ? this->dropped(scratch, act.h) : act.h, T(1), a.grad);
    pass.device.for_each(dh.size(), kernel::Copy<X, X>{dz.data, dh.data});
    if (!dropping) {
      pass.device.gemm(T(1), duc, a.value, T(1), dh);
    } else {
      auto d = scratch.template matrix<X>(dh.rows(), dh.cols());
      pass.device.gemm(T(1), duc, a.value, T(0), d);
      pass.device.for_each_row(d.rows(), this->drop(pass, d, /*add=*/true, dh));
    }
    if (mask) apply(pass, dh, mask.backward, mask.width, dh);
    return dh;
  }

  /// Who masks the outputs, for scores, which see the weight without a pass: a masked output feeds no other one, so that
  /// scores of a masked and of a compacted model agree.
  OutputMask<T> outputs{};

  /// The effective weight is W + s B U with U = A W, and its gradient is seen through gB and gA W. While outputs are
  /// masked, U = (A∘M) W is what the projection computes with.
  template <class W>
  LowRankTerm<T> term(Pass<Device>& pass, View<const W, 2> w, const OutputMask<T>& mask = {}) const {
    return {b.value, times(pass, masked(pass, mask), w), scale};
  }
  template <class W>
  LowRankTerm<T> gradient(Pass<Device>& pass, View<const W, 2> w) const {
    return {b.grad, times(pass, a.grad, w), scale};
  }
  /// dU of the weight or bias w in w + s B U: U is A w, or (A∘M) w.
  template <class W>
  void receive(Pass<Device>& pass, View<const W, 2> w, View<const T, 2> du, const OutputMask<T>& mask) {
    if (!mask) return pass.device.gemm(T(1), du, w.t(), T(1), a.grad);
    auto da = pass.template matrix<T>(a.rows, a.cols);
    pass.device.gemm(T(1), du, w.t(), T(0), da);
    pass.device.for_each_row(a.rows, kernel::MaskOutputs<T, T>{da, mask.forward, mask.width, da});
    pass.device.for_each(da.size(), kernel::Accumulate<T>{da.data, a.grad.data});
  }
  /// What has to be taken away from the merged weight W' to have W again: W = W' − s B (I + s A B)⁻¹ A W'.
  ///                                                                                       Sherman, Morrison & Woodbury
  template <class W>
  LowRankTerm<T> inverse_term(Pass<Device>& pass, View<const W, 2> w, const OutputMask<T>& mask = {}) const {
    const Index r = rank();
    const auto ma = masked(pass, mask);
    auto square = pass.template matrix<T>(r, r);
    pass.device.gemm(T(scale), ma, View<const T, 2>(b.value), T(0), square);
    std::vector<T> numbers(std::size_t(r * r));
    pass.device.download(square.data, numbers.data(), r * r);
    for (Index i = 0; i < r; ++i) numbers[std::size_t(i * r + i)] += T(1);
    if (!invert(numbers, r)) fail(Errc::numerical, "unmerge: I + s A B of a sequential adapter has no inverse");
    pass.device.upload(square.data, numbers.data(), r * r);
    const auto u = times(pass, ma, w);
    auto v = pass.template matrix<T>(r, u.cols());
    pass.device.gemm(T(1), View<const T, 2>(square), u, T(0), v);
    return {b.value, v, scale};
  }
  /// f(parameter, side) for what leaves with rows or columns of the weight.
  template <class F>
  void follow(Axis axis, F&& f) {
    if (axis == Axis::rows) f(b, Axis::rows), f(a, Axis::columns);
  }

 private:
  /// Gauss and Jordan on the host, with the largest pivot of each column; false where there is none.
  static bool invert(std::vector<T>& x, Index n) {
    std::vector<T> y(x.size(), T(0));
    const auto at = [n](std::vector<T>& m, Index i, Index j) -> T& { return m[std::size_t(i * n + j)]; };
    const auto size = [](T v) { return v < T(0) ? -v : v; };
    for (Index i = 0; i < n; ++i) at(y, i, i) = T(1);
    for (Index k = 0; k < n; ++k) {
      Index pivot = k;
      for (Index i = k + 1; i < n; ++i)
        if (size(at(x, i, k)) > size(at(x, pivot, k))) pivot = i;
      if (!(size(at(x, pivot, k)) > T(0))) return false;
      for (Index j = 0; j < n; ++j) std::swap(at(x, k, j), at(x, pivot, j)), std::swap(at(y, k, j), at(y, pivot, j));
      const T divisor = at(x, k, k);
      for (Index j = 0; j < n; ++j) at(x, k, j) /= divisor, at(y, k, j) /= divisor;
      for (Index i = 0; i < n; ++i) {
        if (i == k) continue;
        const T factor = at(x, i, k);
        for (Index j = 0; j < n; ++j) at(x, i, j) -= factor * at(x, k, j), at(y, i, j) -= factor * at(y, k, j);
      }
    }
    x = std::move(y);
    return true;
  }
  View<const T, 2> masked(Pass<Device>& pass, const OutputMask<T>& given) const {
    const OutputMask<T>& mask = given ? given : outputs;
    if (!mask) return a.value;
    auto m = pass.template matrix<T>(a.rows, a.cols);
    pass.device.for_each_row(a.rows, kernel::MaskOutputs<T, T>{a.value, mask.forward, mask.width, m});
    return m;
  }
  void apply(Pass<Device>& pass, View<const X, 2> x, View<const T, 1> mask, Index width, View<X, 2> y) const {
    pass.device.for_each_row(x.rows(), kernel::MaskOutputs<X, T>{x, mask, width, y});
  }
  template <class W>
  static View<const T, 2> times(Pass<Device>& pass, View<const T, 2> a, View<const W, 2> w) {
    auto u = pass.template matrix<T>(a.rows(), w.cols());
    pass.device.gemm(T(1), a, w, T(0), u);
    return u;
  }
};

}  // namespace espalier::inline v0
