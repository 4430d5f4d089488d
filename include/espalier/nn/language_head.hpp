// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/loss.hpp>

namespace espalier::inline v0 {

/// Rows of logits that exist at one time: a function of the vocabulary alone, about 4 M numbers.
inline Index logit_rows(Index vocab, Index tokens) {
  return std::min(tokens, std::clamp<Index>((Index{1} << 22) / vocab, 8, 256));
}

/// total += weight Σ_i −log softmax(h_i Wᵀ + b)[target_i];  dh_i = dloss/dh_i unless dh has no data; no b: zero.
/// weight is on the device. Works on a few rows at a time: (tokens, vocab) never exists in full.
template <Backend Device>
void language_loss(Pass<Device>& pass, View<const typename Device::Activation, 2> h,
                   View<const typename Device::Weight, 2> w, const int* targets, const double* weight,
                   typename Device::Accumulate* total, View<typename Device::Activation, 2> dh,
                   View<const typename Device::Accumulate, 1> bias = {}) {
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  auto scratch = pass.scratch();
  auto losses = scratch.template vector<A>(h.rows());
  const Index step = logit_rows(w.rows(), h.rows());
  auto logits = scratch.matrix(step, w.rows());
  for (Index i = 0; i < h.rows(); i += step) {
    const Index n = std::min(step, h.rows() - i);
    const auto some = logits.rows(0, n);
    pass.device.gemm(A(1), h.rows(i, n), w.t(), A(0), some);
    if (bias) pass.device.for_each_row(n, kernel::AddBias<T, A>{bias, some});
    pass.device.for_each_row(
        n, kernel::CrossEntropy<T, A>{some, targets + i, weight, espalier::vector(losses.data + i, n)});
    if (dh) pass.device.gemm(A(1), View<const T, 2>(some), w, A(0), dh.rows(i, n));
  }
  pass.device.for_each_row(1, kernel::SumInto<A>{losses, total});
}

}  // namespace espalier::inline v0
