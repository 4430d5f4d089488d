// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/target.hpp>
#include <espalier/core/view.hpp>
#include <espalier/kernel/math.hpp>

namespace espalier::inline v0::kernel {

// loss(i) = weight (log Σ_j exp x_ij − x_i,target),  x ← dloss/dx = weight (softmax(x) − onehot(target)), per row, in place.
template <class T, class A>
struct CrossEntropy {
  View<T, 2> x;        // (rows, vocab)  logits, then their gradient
  const int* targets;  // (rows)
  A weight;            // 1 / number of targets in the whole batch
  View<A, 1> loss;     // (rows)

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    using std::log;
    const Index target = targets[i];
    T* const xi = x.row(i);
    if (target == kIgnore) {
      team.each(x.cols(), [&](Index j) { xi[j] = T(0); });
      loss(i) = A(0);
      return;
    }
    const A top = team.max(x.cols(), [&](Index j) { return A(xi[j]); });
    const A at_target = A(xi[target]);
    const A total = team.sum(x.cols(), [&](Index j) {
      const A e = exp(A(xi[j]) - top);
      xi[j] = T(e);
      return e;
    });
    loss(i) = weight * (log(total) + top - at_target);
    const A factor = weight / total;
    team.each(x.cols(), [&](Index j) { xi[j] = T(A(xi[j]) * factor); });
    xi[target] -= T(weight);
  }
};

// total(0) += Σ x, in one fixed order. One row.
template <class A>
struct SumInto {
  View<const A, 1> x;
  A* total;
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    *total += team.sum(x.shape[0], [&](Index i) { return x.data[i]; });
  }
};

}  // namespace espalier::inline v0::kernel
