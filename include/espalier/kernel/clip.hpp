// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/step.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// partial(i) = Σ x² over chunk i, in double and in one fixed order, per row.
template <class A>
struct SquareSums {
  static constexpr Index kChunk = 4096;
  View<const A, 1> x;
  View<double, 1> partial;  // (chunks)

  ESPALIER_FN Index width() const { return kChunk; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const Index first = i * kChunk, left = x.shape[0] - first, n = left < kChunk ? left : kChunk;
    const double sum = team.sum(n, [&](Index j) { return double(x(first + j)) * double(x(first + j)); });
    team.once([&] { partial(i) = sum; });
  }
};

// norm = √Σ partial,  clip = min(1, most / (norm + 1e-6)); a norm that is not finite says: skip this step. One row.
//                                                                                   Pascanu, Mikolov & Bengio 2013
struct ClipFactor {
  View<const double, 1> partial;
  double most;  // 0: no clipping
  StepState* state;

  ESPALIER_FN Index width() const { return partial.shape[0]; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    using std::sqrt;
    const double norm = sqrt(team.sum(partial.shape[0], [&](Index i) { return partial(i); }));
    const double factor = most / (norm + 1e-6);
    const bool finite = norm - norm == 0;
    team.once([&] {
      state->norm = norm;
      state->clip = !finite ? -1.0 : most > 0 && factor < 1 ? factor : 1.0;
    });
  }
};

}  // namespace espalier::inline v0::kernel
