// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/taylor.hpp>
#include <espalier/kernel/weight_mask.hpp>
#include <type_traits>

namespace espalier::inline v0 {

/// Rows of a matrix of a weight's shape that exist at one time: a function of the shape, about a million numbers at most.
inline Index panel_rows(Index out, Index in) {
  return std::min(out, std::clamp<Index>((Index{1} << 20) / std::max<Index>(in, 1), 16, 512));
}

/// W = W0 + s B A of a projection, or W∘M, a few rows at a time: neither ever exists in full. Numbers are To, rounded once.
/// The pass has to last as long as this.
template <Backend Device, class W, class To>
class WeightRows {
 public:
  using A = typename Device::Accumulate;
  using Bits = View<const std::uint32_t, 2>;

  WeightRows(Pass<Device>& pass, const kernel::LowRankSum<W, A>& weight, Bits mask = {})
      : device_(&pass.device), weight_(weight), mask_(mask) {
    if constexpr (!std::is_same_v<To, A>)
      if (weight.a) added_ = pass.template matrix<A>(panel_rows(weight.w.rows(), weight.w.cols()), weight.w.cols());
  }

  /// Rows first … first + to.rows(), at most panel_rows of them.
  void write(Index first, View<To, 2> to) const {
    const Index n = to.rows();
    View<const A, 2> added{};
    if (weight_.a) {
      View<A, 2> product{};
      if constexpr (std::is_same_v<To, A>) product = to;
      else product = added_.rows(0, n);
      device_->gemm(weight_.scale, weight_.b.rows(first, n), weight_.a, A(0), product);
      added = product;
    } else if (weight_.b) {
      added = weight_.b.rows(first, n);
    }
    device_->for_each_row(n, kernel::EffectiveWeight<W, A, To>{weight_.w.rows(first, n), added,
                                                               mask_ ? mask_.rows(first, n) : mask_, to});
  }

 private:
  Device* device_;
  kernel::LowRankSum<W, A> weight_;
  Bits mask_;          // (out, words), or no data
  View<A, 2> added_{};  // where W is not kept in what it is computed in
};

}  // namespace espalier::inline v0
