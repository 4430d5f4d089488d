// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/obs.hpp>
#include <espalier/kernel/select.hpp>
#include <espalier/kernel/weight_mask.hpp>
#include <limits>

// H⁻¹ = UᵀU with U upper: what is removed from a row is made up for by what lies to its right.   Frantar & Alistarh 2023
namespace espalier::inline v0::kernel {

// score(i, j) = w_ij² / U_jj², and −∞ of what is gone, of the columns first …, per row.
template <class A>
struct BlockSaliency {
  View<const A, 2> w;                 // (rows, in)
  View<const A, 2> l;                 // (in, in): Uᵀ
  Index first;
  View<const std::uint32_t, 2> gone;  // (rows, words), or no data
  View<A, 2> score;                   // (rows, columns of the block)

  ESPALIER_FN Index width() const { return score.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    team.each(score.cols(), [&](Index j) {
      const A x = w(i, first + j) / l(first + j, first + j);
      score(i, j) = gone && !kept(gone.row(i), first + j) ? -std::numeric_limits<A>::infinity() : x * x;
    });
  }
};

// Of the columns first … of a block, from left to right: e = w_ij / U_jj of what is removed, w_il −= e U_jl for l ≥ j in the
// block; w_ij = 0. With m > 0 the k lowest w²/U_jj² of every m consecutive columns are removed, and the same share of a shorter
// rest, chosen when they are reached; with m = 0 `removed` says which are. Per row.
template <class A>
struct SparseGptBlock {
  View<A, 2> w;                       // (rows, in)
  View<const A, 2> l;                 // (in, in): Uᵀ
  Index first, m, k;
  View<const std::uint32_t, 2> gone;  // (rows, words), or no data; these leave before others of their m
  View<std::uint8_t, 2> removed;      // (rows, columns of the block)
  View<A, 2> error;                   // (rows, columns of the block): e

  ESPALIER_FN Index width() const { return removed.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const Index n = removed.cols();
    for (Index j = 0; j < n; ++j) {
      if (m > 0 && j % m == 0) {
        const Index group = n - j < m ? n - j : m, leaving = leaving_of_rest(group, m, k);
        const auto key = [&](Index c) {
          const A x = w(i, first + c) / l(first + c, first + c);
          return ordered_key(gone && !kept(gone.row(i), first + c) ? -std::numeric_limits<A>::infinity() : x * x);
        };
        team.each(group, [&](Index g) {
          const auto own = key(j + g);
          Index before = 0;
          for (Index o = 0; o < group; ++o) {
            const auto other = key(j + o);
            before += other < own || (other == own && o < g) ? 1 : 0;
          }
          removed(i, j + g) = before < leaving ? 1 : 0;
        });
      }
      const A e = removed(i, j) != 0 ? w(i, first + j) / l(first + j, first + j) : A(0);
      const bool leaves = removed(i, j) != 0;
      team.each(n - j, [&](Index c) {
        const Index at = first + j + c;
        w(i, at) = c == 0 && leaves ? A(0) : w(i, at) - e * l(at, first + j);
        if (c == 0) error(i, j) = e;
      });
    }
  }
};

// d = x − d of what is kept, and 0 elsewhere, per row.
template <class A>
struct ChangeOfKept {
  View<const A, 2> x;
  View<const std::uint32_t, 2> bits;  // (rows, words)
  View<A, 2> d;

  ESPALIER_FN Index width() const { return d.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const std::uint32_t* const row = bits.row(i);
    team.each(d.cols(), [&](Index j) { d(i, j) = kept(row, j) ? x(i, j) - d(i, j) : A(0); });
  }
};

// H over the weights of one row that stay; what does not stands alone with a 1 on the diagonal. Per row of H.
template <class A>
struct KeptHessian {
  View<const A, 2> products;  // (in, in)
  View<const A, 1> tokens;    // (1)
  View<const A, 1> mean;      // (1)
  A damp;
  const std::uint32_t* bits;  // of the row; null: everything stays
  View<A, 2> h;               // (in, in)

  ESPALIER_FN Index width() const { return h.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const bool stays = !bits || kept(bits, i);
    team.each(h.cols(), [&](Index j) {
      const A coupled = stays && (!bits || kept(bits, j)) ? hessian(products, tokens, i, j) : A(0);
      h(i, j) = coupled + (i != j ? A(0) : stays ? damp * mean(0) : A(1));
    });
  }
};

}  // namespace espalier::inline v0::kernel
