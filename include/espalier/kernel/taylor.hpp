// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/step.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0 {

/// What a first-order term is raised to. Both rank single elements alike; their sums differ.
enum class Power { square, abs };

template <class T>
ESPALIER_FN T raised(Power power, T x) {
  return power == Power::square ? x * x : x < T(0) ? -x : x;
}

namespace kernel {

// W = W0 + s B A, one element at a time: the merged weight never exists in full. Without an adapter B has no data, and A
// has none where it is the identity.
template <class W, class A>
struct LowRankSum {
  View<const W, 2> w;  // (out, in)
  View<const A, 2> b;  // (out, rank)
  View<const A, 2> a;  // (rank, in)
  A scale;

  ESPALIER_FN A operator()(Index i, Index j) const {
    A sum(0);
    if (b && !a) sum = b(i, j);
    for (Index k = 0; k < a.rows(); ++k) sum += b(i, k) * a(k, j);
    return widen<A>(w(i, j)) + scale * sum;
  }
  /// The same on rows first … first + count.
  ESPALIER_FN LowRankSum rows(Index first, Index count) const {
    return {w.rows(first, count), b ? b.rows(first, count) : b, a, scale};
  }
};

// (factor Ĝ∘W)² or its absolute value,  Ĝ = gB A + B gA − η gB gA.                          LoRAPrune, eq. 9 and 10
template <class W, class A>
struct TaylorElement {
  LowRankSum<W, A> weight;
  View<const A, 2> db;  // (out, rank)
  View<const A, 2> da;  // (rank, in)
  A eta, factor;
  Power power;
  const StepState* clipped;  // gradients count times clip; null: as they are

  ESPALIER_FN A operator()(Index i, Index j) const {
    const A clip = clipped ? A(clipped->clip) : A(1);
    A g(0), w(0);
    for (Index k = 0; k < da.rows(); ++k) {
      const A a = weight.a(k, j), b = weight.b(i, k), ga = clip * da(k, j), gb = clip * db(i, k);
      g += gb * (a - eta * ga) + b * ga;
      w += b * a;
    }
    return raised(power, factor * g * (widen<A>(weight.w(i, j)) + weight.scale * w));
  }
};

// (G∘W)² or its absolute value, G given.
template <class W, class A>
struct GradientElement {
  LowRankSum<W, A> weight;
  View<const A, 2> g;  // (out, in)
  Power power;
  ESPALIER_FN A operator()(Index i, Index j) const { return raised(power, g(i, j) * weight(i, j)); }
};

// abs(W).
template <class W, class A>
struct MagnitudeElement {
  LowRankSum<W, A> weight;
  ESPALIER_FN A operator()(Index i, Index j) const { return raised(Power::abs, weight(i, j)); }
};

// score(i) += Σ_j element(i, j), per row.
template <class Element, class A>
struct ScoreRows {
  Element element;
  Index cols;
  View<A, 1> score;  // (rows)

  ESPALIER_FN Index width() const { return cols; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const A sum = team.sum(cols, [&](Index j) { return element(i, j); });
    team.once([&] { score(i) += sum; });
  }
};

// score(j) += Σ_i element(i, j): a team takes a block of neighbouring columns down all rows, so that rows are read as
// they lie.
template <class Element, class A>
struct ScoreColumns {
  static constexpr Index kBlock = 64;
  Element element;
  Index rows;
  View<A, 1> score;  // (cols)

  ESPALIER_FN Index width() const { return kBlock; }
  /// How many rows to launch.
  ESPALIER_FN Index blocks() const { return (score.shape[0] + kBlock - 1) / kBlock; }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    const Index first = n * kBlock, left = score.shape[0] - first, count = left < kBlock ? left : kBlock;
    for (Index i = 0; i < rows; ++i) team.each(count, [&](Index j) { score(first + j) += element(i, first + j); });
  }
};

// score(i) += Σ_t dy(t, i) (y(t, i) − b(i)), per column i. Equal to Σ_j (G∘W)(i, j) without G.
template <class T, class A>
struct SignedScore {
  static constexpr Index kBlock = 64;
  View<const T, 2> y, dy;  // (tokens, width)
  View<const A, 1> bias;   // (width), or no data
  View<A, 1> score;        // (width)

  ESPALIER_FN Index width() const { return kBlock; }
  /// How many rows to launch.
  ESPALIER_FN Index blocks() const { return (score.shape[0] + kBlock - 1) / kBlock; }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    const Index first = n * kBlock, left = score.shape[0] - first, count = left < kBlock ? left : kBlock;
    for (Index t = 0; t < y.rows(); ++t)
      team.each(count, [&](Index c) {
        const Index i = first + c;
        score(i) += A(dy(t, i)) * (A(y(t, i)) - (bias ? bias(i) : A(0)));
      });
  }
};

}  // namespace kernel
}  // namespace espalier::inline v0
