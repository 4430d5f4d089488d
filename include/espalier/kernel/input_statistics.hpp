// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>
#include <espalier/kernel/elementwise.hpp>

// What went into a projection, summed over tokens.
namespace espalier::inline v0::kernel {

// y(t, :) = x(t, :), kept(t) = 1 where every square is finite; zeros where one is not, per row.
template <class T, class A>
struct FiniteRows {
  View<const T, 2> x;  // (tokens, in)
  View<T, 2> y;        // (tokens, in)
  View<A, 1> kept;     // (tokens)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index t) const {
    const T* const xt = x.row(t);
    T* const yt = y.row(t);
    const int wrong = team.max(x.cols(), [&](Index j) {
      const A square = widen<A>(xt[j]) * widen<A>(xt[j]);
      return square - square == A(0) ? 0 : 1;
    });
    team.each(x.cols(), [&](Index j) { yt[j] = wrong ? T(0.0f) : xt[j]; });
    team.once([&] { kept(t) = A(wrong ? 0.0f : 1.0f); });
  }
};

// squares(j) += Σ_t x(t, j)²: a team takes a block of neighbouring columns down all rows, so that rows are read as
// they lie.
template <class T, class A>
struct ColumnSquares {
  static constexpr Index kBlock = 64;
  View<const T, 2> x;  // (tokens, in)
  View<A, 1> squares;  // (in)

  ESPALIER_FN Index width() const { return kBlock; }
  /// How many rows to launch.
  ESPALIER_FN Index blocks() const { return (squares.shape[0] + kBlock - 1) / kBlock; }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    const Index first = n * kBlock, left = squares.shape[0] - first, count = left < kBlock ? left : kBlock;
    for (Index t = 0; t < x.rows(); ++t) {
      const T* const xt = x.row(t) + first;
      team.each(count, [&](Index c) { squares(first + c) += widen<A>(xt[c]) * widen<A>(xt[c]); });
    }
  }
};

}  // namespace espalier::inline v0::kernel
