// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/view.hpp>
#include <espalier/kernel/math.hpp>

namespace espalier::inline v0::kernel {

// loss(i) = weight Σ_j (x_ij − y_ij)²,  x ← dloss/dx = 2 weight (x − y), per row, in place.
template <class A>
struct SquaredError {
  View<A, 2> x;        // (rows, labels)  predictions, then their gradient
  View<const A, 2> y;  // (rows, labels)
  const double* share;  // 1 / number of values in the whole batch
  View<A, 1> loss;     // (rows)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const A weight = A(*share);
    A* const xi = x.row(i);
    const A* const yi = y.row(i);
    team.each(x.cols(), [&](Index j) { xi[j] -= yi[j]; });
    const A sum = team.sum(x.cols(), [&](Index j) { return xi[j] * xi[j]; });
    team.each(x.cols(), [&](Index j) { xi[j] *= A(2) * weight; });
    team.once([&] { loss(i) = weight * sum; });
  }
};

// loss(i) = weight Σ_j (max(x, 0) − x y + log(1 + exp −|x|)),  x ← dloss/dx = weight (σ(x) − y), per row, in place: the
// cross-entropy of as many yes-or-no questions as there are labels.
template <class A>
struct BinaryCrossEntropy {
  View<A, 2> x;        // (rows, labels)  logits, then their gradient
  View<const A, 2> y;  // (rows, labels)  0 or 1
  const double* share;  // 1 / number of values in the whole batch
  View<A, 1> loss;     // (rows)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    using std::log;
    const A weight = A(*share);
    A* const xi = x.row(i);
    const A* const yi = y.row(i);
    const A sum = team.sum(x.cols(), [&](Index j) {
      return larger(xi[j], A(0)) - xi[j] * yi[j] + log(A(1) + exp(-larger(xi[j], -xi[j])));
    });
    team.each(x.cols(), [&](Index j) { xi[j] = weight * (sigmoid(xi[j]) - yi[j]); });
    team.once([&] { loss(i) = weight * sum; });
  }
};

// sums(i) += Σ_t x_ti: one row a column of x.
template <class A>
struct ColumnSums {
  View<const A, 2> x;  // (rows, columns)
  View<A, 1> sums;     // (columns)

  ESPALIER_FN Index width() const { return x.rows(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const A sum = team.sum(x.rows(), [&](Index t) { return x(t, i); });
    team.once([&] { sums(i) += sum; });
  }
};

}  // namespace espalier::inline v0::kernel
