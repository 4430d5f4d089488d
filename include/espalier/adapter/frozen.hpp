// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/workspace.hpp>
#include <string>

namespace espalier::inline v0 {

/// No adapter: the projection is what it was loaded as. For evaluation and for plans.
template <Backend Device>
class Frozen {
 public:
  using X = typename Device::Activation;
  struct Options {};
  struct Activations {
    View<const X, 2> x;
  };

  Frozen() = default;
  Frozen(Device&, Index, Index, const std::string&, const Options&) {}
  static constexpr bool active() { return false; }
  void forward(Pass<Device>&, View<const X, 2>, View<X, 2>, Activations&) const {}
  void backward(Pass<Device>&, View<const X, 2>, const Activations&, View<X, 2>) {}
  template <class Self, class F>
  static void visit(Self&, F&&) {}
};

}  // namespace espalier::inline v0
