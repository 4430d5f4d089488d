// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/adapter/targets.hpp>
#include <espalier/core/parameter.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/output_mask.hpp>
#include <espalier/kernel/term.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

struct FullOptions {
  std::vector<std::string> targets = {};  ///< as LowRankOptions::targets
};

/// Full fine-tuning as an adapter: y += x Bᵀ with B: (out, in) of any rank, zero at first; dB += dyᵀx, dx += dy B. The
/// baseline that low-rank adapters are held against: W0 + B moves as W would, and its weight decay pulls towards W0.
/// Beside each weight stand B, its gradient and two moments.                             Hu et al. 2021, section 2 (FT)
template <Backend Device>
class FullAdapter {
 public:
  using T = typename Device::Accumulate;
  using X = typename Device::Activation;
  using Options = FullOptions;
  struct Activations {
    View<const X, 2> x;  // (tokens, in)
  };
  static constexpr Axis kInput = Axis::columns;
  static constexpr double dropout = 0, scale = 1;

  FullAdapter() = default;
  FullAdapter(Device&, Index in, Index out, const std::string& path, const Options& options) {
    if (is_target(options.targets, path)) b = Parameter<Device>(out, in);
  }

  bool present() const { return b.rows > 0; }
  bool active() const { return present() && !merged; }

  View<X, 2> forward(Pass<Device>& pass, View<const X, 2> x, View<X, 2> y, const OutputMask<T>&, Activations& act) const {
    if (!active()) return y;
    pass.device.gemm(T(1), x, b.value.t(), T(1), y);
    act.x = x;
    return y;
  }
  View<const X, 2> backward(Pass<Device>& pass, View<const X, 2> dy, const OutputMask<T>&, const Activations& act, View<X, 2> dx) {
    if (!active()) return dy;
    pass.device.gemm(T(1), dy.t(), act.x, T(1), b.grad);
    if (dx) pass.device.gemm(T(1), dy, b.value, T(1), dx);
    return dy;
  }

  /// W + B: the second factor is the identity, and has no data.
  template <class W>
  LowRankTerm<T> term(Pass<Device>&, View<const W, 2>, const OutputMask<T>& = {}) const {
    return {b.value, {}, 1};
  }
  template <class W>
  LowRankTerm<T> inverse_term(Pass<Device>& pass, View<const W, 2> w, const OutputMask<T>& = {}) const {
    return term(pass, w);
  }
  /// f(parameter, side) for what leaves with rows or columns of the weight.
  template <class F>
  void follow(Axis axis, F&& f) {
    f(b, axis);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    if (self.present()) f("update", self.b);
  }

  Parameter<Device> b;  // (out, in)
  bool merged = false;  ///< B is part of the weight for now: it rests
};

}  // namespace espalier::inline v0
