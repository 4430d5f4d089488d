// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/output_mask.hpp>
#include <string>

namespace espalier::inline v0 {

/// No adapter: the projection is what it was loaded as. For evaluation and for plans.
template <Backend Device>
class Frozen {
 public:
  using X = typename Device::Activation;
  using T = typename Device::Accumulate;
  struct Options {};
  struct Activations {
    View<const X, 2> x;
  };

  Frozen() = default;
  Frozen(Device&, Index, Index, const std::string&, const Options&) {}
  static constexpr bool active() { return false; }
  View<X, 2> forward(Pass<Device>&, View<const X, 2>, View<X, 2> y, const OutputMask<T>&, Activations&) const {
    return y;
  }
  View<const X, 2> backward(Pass<Device>&, View<const X, 2> dy, const OutputMask<T>&, const Activations&, View<X, 2>) {
    return dy;
  }
  template <class Self, class F>
  static void visit(Self&, F&&) {}
};

}  // namespace espalier::inline v0
