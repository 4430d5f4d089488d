// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/cholesky.hpp>
#include <utility>

namespace espalier::inline v0 {

/// Columns that are factored at a time; all the rest is products.
inline constexpr Index kCholeskyBlock = 128;

/// a ← L with a = L Lᵀ, zeros above the diagonal. Only the lower triangle of a is read.           Golub & Van Loan, 4.2
/// Launches and products only, so that nobody waits: where a is not positive definite, L holds numbers that are none,
/// and so has everything that is computed from it.
template <class Device, class A>
void cholesky(Pass<Device>& pass, View<A, 2> a) {
  auto& device = pass.device;
  const Index n = a.rows(), block = std::min(n, kCholeskyBlock);
  auto scratch = pass.scratch();
  auto inverse = scratch.template matrix<A>(block, block), panel = scratch.template matrix<A>(n, block);
  for (Index k = 0; k < n; k += block) {
    const Index width = std::min(block, n - k), below = n - k - width;
    const auto column = a.rows(k, n - k).cols(k, width), square = a.rows(k, width).cols(k, width);
    if (k > 0) {
      const View<const A, 2> left = a.rows(k, n - k).cols(0, k);
      device.gemm(A(-1), left, left.rows(0, width).t(), A(1), column);
    }
    device.for_each_row(1, kernel::CholeskyBlock<A>{square});
    if (below == 0) continue;
    // L21 = A21 L11⁻ᵀ
    const auto m = inverse.rows(0, width).cols(0, width);
    device.for_each(width, kernel::TriangleInverse<A>{square, m});
    const auto rest = column.rows(width, below), product = panel.rows(0, below).cols(0, width);
    device.gemm(A(1), View<const A, 2>(rest), View<const A, 2>(m).t(), A(0), product);
    device.for_each_row(below, kernel::CopyRows<A>{product, rest});
  }
  device.for_each_row(n, kernel::LowerTriangle<A>{a});
}

/// l ← L⁻¹, a lower triangle with zeros above the diagonal.
template <class Device, class A>
void invert_triangle(Pass<Device>& pass, View<A, 2> l) {
  auto& device = pass.device;
  const Index n = l.rows(), block = std::min(n, kCholeskyBlock);
  auto scratch = pass.scratch();
  auto inverse = scratch.template matrix<A>(block, block), panel = scratch.template matrix<A>(block, n);
  for (Index k = 0; k < n; k += block) {
    const Index width = std::min(block, n - k);
    const auto square = l.rows(k, width).cols(k, width), m = inverse.rows(0, width).cols(0, width);
    device.for_each(width, kernel::TriangleInverse<A>{square, m});
    if (k > 0) {  // M21 = −L22⁻¹ L21 M11
      const auto left = l.rows(k, width).cols(0, k), product = panel.rows(0, width).cols(0, k);
      device.gemm(A(1), View<const A, 2>(left), View<const A, 2>(l.rows(0, k).cols(0, k)), A(0), product);
      device.gemm(A(-1), View<const A, 2>(m), View<const A, 2>(product), A(0), left);
    }
    device.for_each_row(width, kernel::CopyRows<A>{m, square});
  }
}

/// inverse ← a⁻¹ of a positive definite a, in full; a ← L⁻¹.
template <class Device, class A>
void invert(Pass<Device>& pass, View<A, 2> a, View<A, 2> inverse) {
  cholesky(pass, a);
  invert_triangle(pass, a);
  const View<const A, 2> m = a;
  pass.device.gemm(A(1), m.t(), m, A(0), inverse);
}

}  // namespace espalier::inline v0
