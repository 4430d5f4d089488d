// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/random.hpp>
#include <espalier/core/step.hpp>
#include <espalier/core/view.hpp>
#include <espalier/kernel/taylor.hpp>

// Scores of single weights, a few rows of a weight at a time.
namespace espalier::inline v0::kernel {

// x ← (factor g∘x)² or abs, times a number per column, per row. What is absent is 1. x holds W.
template <class A>
struct ElementScore {
  View<const A, 2> g;       // (rows, in), or no data
  View<const A, 1> column;  // (in), or no data
  A factor;
  Power power;
  const StepState* clipped;  // factor counts times clip; null: as it is
  View<A, 2> x;              // (rows, in)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    A* const xi = x.row(i);
    const A* const gi = g ? g.row(i) : nullptr;
    const A f = clipped ? factor * A(clipped->clip) : factor;
    team.each(x.cols(), [&](Index j) {
      const A score = raised(power, f * (gi ? gi[j] * xi[j] : xi[j]));
      xi[j] = column ? score * column(j) : score;
    });
  }
};

// y = a − factor b, factor times clip where gradients are clipped.
template <class A>
struct Shifted {
  const A *a, *b;
  A factor;
  const StepState* clipped;
  A* y;
  ESPALIER_FN void operator()(Index i) const { y[i] = a[i] - (clipped ? factor * A(clipped->clip) : factor) * b[i]; }
};

// s −= rate g∘w
template <class A>
struct Moved {
  const A *g, *w;
  A rate;
  A* s;
  ESPALIER_FN void operator()(Index i) const { s[i] -= rate * g[i] * w[i]; }
};

// x(i, j) = a uniform number of the weight (first + i, j), per row.
template <class A>
struct RandomWeights {
  RandomStream stream;
  Index first;
  View<A, 2> x;  // (rows, in)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    A* const xi = x.row(i);
    const Index before = (first + i) * x.cols();
    team.each(x.cols(), [&](Index j) { xi[j] = A(stream.uniform(std::uint64_t(before + j))); });
  }
};

}  // namespace espalier::inline v0::kernel
