// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/adapter/low_rank_pair.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/output_mask.hpp>

namespace espalier::inline v0 {

/// Beside the weight: y += s (x Aᵀ) Bᵀ,   A: (rank, in), B: (out, rank).                           Hu et al. 2021, eq. 3
/// dB += s dyᵀz,  dz = s dy B,  dA += dzᵀx,  dx += dz A,  z = x Aᵀ; with dropout x stands for its dropped-out form.
template <Backend Device>
class LowRankAdapter : public LowRankPair<Device> {
 public:
  using Pair = LowRankPair<Device>;
  using T = typename Pair::T;
  using X = typename Pair::X;
  using typename Pair::Options;
  using Pair::a, Pair::b, Pair::scale, Pair::active, Pair::rank;
  struct Activations {
    View<const X, 2> x;  // (tokens, in)
    View<const T, 2> z;  // (tokens, rank)
  };
  static constexpr Axis kInput = Axis::columns;  ///< the side of the weight that A works on

  LowRankAdapter() = default;
  LowRankAdapter(Device&, Index in, Index out, const std::string& path, const Options& options)
      : Pair(in, out, path, options) {}

  /// y is the projection's own output; what is returned, y itself, is the projection's with its adapter. Masks on
  /// outputs are of no concern: an output depends on no other one.
  View<X, 2> forward(Pass<Device>& pass, View<const X, 2> x, View<X, 2> y, const OutputMask<T>&, Activations& act) const {
    if (!active()) return y;
    auto z = pass.template matrix<T>(x.rows(), rank());
    {
      auto scratch = pass.scratch();
      const auto in = this->dropping(pass) ? this->dropped(scratch, x) : x;
      pass.device.gemm(T(1), in, a.value.t(), T(0), z);
    }
    pass.device.gemm(T(scale), z, b.value.t(), T(1), y);
    act = {x, z};
    return y;
  }

  /// Returns the gradient of the projection's own output: dy.
  View<const X, 2> backward(Pass<Device>& pass, View<const X, 2> dy, const OutputMask<T>&, const Activations& act,
                            View<X, 2> dx) {
    if (!active()) return dy;
    auto scratch = pass.scratch();
    auto dz = scratch.template matrix<T>(act.z.rows(), rank());
    pass.device.gemm(T(scale), dy.t(), act.z, T(1), b.grad);
    pass.device.gemm(T(scale), dy, b.value, T(0), dz);
    const View<const T, 2> dzc = dz;
    const bool dropping = this->dropping(pass);
    pass.device.gemm(T(1), dzc.t(), dropping ? this->dropped(scratch, act.x) : act.x, T(1), a.grad);
    if (!dx) return dy;
    if (!dropping) {
      pass.device.gemm(T(1), dzc, a.value, T(1), dx);
    } else {
      auto d = scratch.template matrix<X>(dx.rows(), dx.cols());
      pass.device.gemm(T(1), dzc, a.value, T(0), d);
      pass.device.for_each_row(d.rows(), this->drop(pass, d, /*add=*/true, dx));
    }
    return dy;
  }

  /// The effective weight is W + s B A, and its gradient is seen through gB and gA.
  template <class W>
  LowRankTerm<T> term(Pass<Device>&, View<const W, 2>, const OutputMask<T>& = {}) const {
    return {b.value, a.value, scale};
  }
  template <class W>
  LowRankTerm<T> gradient(Pass<Device>&, View<const W, 2>) const {
    return {b.grad, a.grad, scale};
  }
  /// dU of the weight in W + s B U: U is A itself.
  template <class W>
  void receive(Pass<Device>& pass, View<const W, 2>, View<const T, 2> du, const OutputMask<T>&) {
    pass.device.for_each(du.size(), kernel::Accumulate<T>{du.data, a.grad.data});
  }
  /// What has to be taken away from the merged weight to have W again.
  template <class W>
  LowRankTerm<T> inverse_term(Pass<Device>& pass, View<const W, 2> w, const OutputMask<T>& = {}) const {
    return term(pass, w);
  }
  /// f(parameter, side) for what leaves with rows or columns of the weight.
  template <class F>
  void follow(Axis axis, F&& f) {
    axis == Axis::rows ? f(b, Axis::rows) : f(a, Axis::columns);
  }
};

}  // namespace espalier::inline v0
