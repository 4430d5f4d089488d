// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/step.hpp>
#include <espalier/core/target.hpp>
#include <espalier/core/view.hpp>
#include <espalier/kernel/math.hpp>
#include <type_traits>

namespace espalier::inline v0::kernel {

// loss(i) = weight (log Σ_j exp x_ij − x_i,target),  x ← dloss/dx = weight (softmax(x) − onehot(target)), per row, in place.
// What is stored is rounded once: a logit's exponential is taken again where its place cannot hold it.
template <class T, class A>
struct CrossEntropy {
  View<T, 2> x;        // (rows, vocab)  logits, then their gradient
  const int* targets;  // (rows)
  const double* share;  // 1 / number of targets in the whole batch
  View<A, 1> loss;     // (rows)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    using std::log;
    const A weight = A(*share);
    const Index target = targets[i];
    T* const xi = x.row(i);
    if (target == kIgnore) {
      team.each(x.cols(), [&](Index j) { xi[j] = T(0.0f); });
      team.once([&] { loss(i) = A(0); });
      return;
    }
    const A top = team.max(x.cols(), [&](Index j) { return A(xi[j]); });
    const A at_target = A(xi[target]);
    constexpr bool holds = std::is_same_v<T, A>;
    const auto exponential = [&](Index j) { return exp(A(xi[j]) - top); };
    if constexpr (holds) team.each(x.cols(), [&](Index j) { xi[j] = exponential(j); });
    const A total = team.sum(x.cols(), [&](Index j) { return holds ? A(xi[j]) : exponential(j); });
    const A factor = weight / total;
    team.each(x.cols(), [&](Index j) { xi[j] = T((holds ? A(xi[j]) : exponential(j)) * factor); });
    team.once([&] {
      xi[target] = T(exp(at_target - top) * factor - weight);
      loss(i) = weight * (log(total) + top - at_target);
    });
  }
};

// total(0) += Σ x, in one fixed order. One row.
template <class A>
struct SumInto {
  View<const A, 1> x;
  A* total;

  ESPALIER_FN Index width() const { return x.shape[0]; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    const A sum = team.sum(x.shape[0], [&](Index i) { return x.data[i]; });
    team.once([&] { *total += sum; });
  }
};

// loss of the step = total, or with what came before += total. One row.
template <class A>
struct AddLoss {
  const A* total;
  bool first;
  StepState* state;

  ESPALIER_FN void operator()(Index) const { state->loss = double(first ? *total : A(state->loss) + *total); }
};

}  // namespace espalier::inline v0::kernel
