// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// c = alpha a b + beta c, a tile per team, for operands of any types: summed in A over k in order. For what no library
// multiplies: adapters in fp32 beside activations in bf16, and devices without a library.
template <class P, class Q, class R, class A>
struct Product {
  static constexpr Index kTile = 32, kDepth = 32;
  A alpha;
  View<const P, 2> a;  // (rows, k)
  View<const Q, 2> b;  // (k, cols)
  A beta;
  View<R, 2> c;  // (rows, cols)

  ESPALIER_FN Index across() const { return (c.cols() + kTile - 1) / kTile; }
  /// How many rows to launch.
  ESPALIER_FN Index blocks() const { return (c.rows() + kTile - 1) / kTile * across(); }
  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const { return (kTile * (kDepth + 1) + kDepth * kTile + kTile * kTile) * Index(sizeof(A)); }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    const Index i = n / across() * kTile, j = n % across() * kTile;
    const Index height = i + kTile < c.rows() ? kTile : c.rows() - i, width = j + kTile < c.cols() ? kTile : c.cols() - j;
    A* const left = team.template scratch<A>(scratch_bytes());
    A *const right = left + kTile * (kDepth + 1), *const sums = right + kDepth * kTile;
    team.each(kTile * kTile, [&](Index l) { sums[l] = A(0); });
    for (Index k = 0; k < a.cols(); k += kDepth) {
      const Index depth = k + kDepth < a.cols() ? kDepth : a.cols() - k;
      // Neighbouring members read neighbouring numbers, whichever way the operand lies.
      team.each(kTile * kDepth, [&](Index l) {
        const bool by_row = a.stride[1] == 1;
        const Index r = by_row ? l / kDepth : l % kTile, s = by_row ? l % kDepth : l / kTile;
        left[r * (kDepth + 1) + s] = r < height && s < depth ? widen<A>(a(i + r, k + s)) : A(0);
      });
      team.each(kDepth * kTile, [&](Index l) {
        const bool by_row = b.stride[1] == 1;
        const Index s = by_row ? l / kTile : l % kDepth, q = by_row ? l % kTile : l / kDepth;
        right[s * kTile + q] = s < depth && q < width ? widen<A>(b(k + s, j + q)) : A(0);
      });
      team.each(kTile * kTile, [&](Index l) {
        const Index r = l / kTile, q = l % kTile;
        A sum = sums[l];
        for (Index s = 0; s < kDepth; ++s) sum += left[r * (kDepth + 1) + s] * right[s * kTile + q];
        sums[l] = sum;
      });
    }
    team.each(height * width, [&](Index l) {
      const Index r = l / width, q = l % width;
      R& to = c(i + r, j + q);
      const A sum = alpha * sums[r * kTile + q];
      to = R(beta == A(0) ? sum : beta * widen<A>(to) + sum);
    });
  }
};

}  // namespace espalier::inline v0::kernel
