// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/dropout.hpp>

namespace espalier::inline v0 {

/// x∘keep / (1 − p) while a model is trained, drawn per token and channel; backward draws again.     Srivastava et al. 2014
template <Backend Device>
struct Dropout {
  using T = typename Device::Activation;
  /// Streams of the places in a frozen model where something is dropped: adapters count from below.
  static constexpr std::uint32_t kFirst = std::uint32_t{1} << 22;

  double p = 0;
  std::uint32_t stream = kFirst;

  bool on(const Pass<Device>& pass) const { return pass.training && p > 0; }
  /// x ← dropped x, or the same of a gradient.
  void apply(Pass<Device>& pass, View<T, 2> x) const {
    if (on(pass)) pass.device.for_each_row(x.rows(), kernel::Dropout<T>{x, p, stream, pass.state, nullptr, x.cols(), false, x});
  }
  /// y += dropped x
  void add(Pass<Device>& pass, View<const T, 2> x, View<T, 2> y) const {
    pass.device.for_each_row(x.rows(), kernel::Dropout<T>{x, p, stream, pass.state, nullptr, x.cols(), true, y});
  }
  /// Dropped x, elsewhere.
  View<const T, 2> dropped(Pass<Device>& pass, View<const T, 2> x) const {
    if (!on(pass)) return x;
    auto y = pass.matrix(x.rows(), x.cols());
    pass.device.for_each_row(x.rows(), kernel::Dropout<T>{x, p, stream, pass.state, nullptr, x.cols(), false, y});
    return y;
  }
};

}  // namespace espalier::inline v0
