// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/elementwise.hpp>
#include <espalier/nn/linear.hpp>
#include <espalier/nn/trained_linear.hpp>
#include <type_traits>
#include <utility>

namespace espalier::inline v0 {

/// y = x Wᵀ + b, of which files decide whether it is frozen, with an adapter, or learns as a whole because none has it.
template <Backend Device, template <class> class Adapter>
class EitherLinear {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Frozen = Linear<Device, Adapter>;
  using Trained = TrainedLinear<Device>;
  struct Activations {
    typename Frozen::Activations frozen;
    typename Trained::Activations trained;
  };

  EitherLinear() = default;
  EitherLinear(Frozen f) : frozen(std::move(f)) {}
  EitherLinear(Trained t) : trained(std::move(t)) {}
  bool learns() const { return trained.out() > 0; }

  View<A, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    if (learns()) return trained.forward(pass, x, act.trained);
    return as<A>(pass, frozen.forward(pass, x, act.frozen));
  }
  void backward(Pass<Device>& pass, View<const A, 2> dy, const Activations& act, View<T, 2> dx) {
    if (learns()) return trained.backward(pass, dy, act.trained, dx);
    frozen.backward(pass, as<T>(pass, dy), act.frozen, dx);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    if (self.learns()) f("", self.trained);
    else f("", self.frozen);
  }

  Frozen frozen;    // one of the two
  Trained trained;  // is empty

 private:
  /// The same numbers in another type, if it is one.
  template <class To, class From>
  static auto as(Pass<Device>& pass, View<From, 2> x) {
    if constexpr (std::is_same_v<To, std::remove_const_t<From>>) {
      return x;
    } else {
      auto y = pass.template matrix<To>(x.rows(), x.cols());
      pass.device.for_each(x.size(), kernel::Copy<To, std::remove_const_t<From>>{x.data, y.data});
      return y;
    }
  }
};

}  // namespace espalier::inline v0
