// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/step.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// m ← β1 m + (1 − β1) g,  v ← β2 v + (1 − β2) g²,  w ← w − rate (m̂ / (√v̂ + ε) + λ w),  g ← 0.
//                                                                             Loshchilov & Hutter 2019, algorithm 2
// A step whose gradients are not finite (state->clip < 0) changes neither weights nor moments.
template <class A>
struct AdamW {
  A *w, *g, *m, *v;
  A beta1, beta2, eps, decay;
  const StepState* state;

  ESPALIER_FN void operator()(Index i) const {
    using std::sqrt;
    if (state->clip < 0) {
      g[i] = A(0);
      return;
    }
    const A x = g[i] * A(state->clip);
    m[i] = beta1 * m[i] + (A(1) - beta1) * x;
    v[i] = beta2 * v[i] + (A(1) - beta2) * x * x;
    w[i] -= A(state->rate) * (m[i] / A(state->correction1) / (sqrt(v[i] / A(state->correction2)) + eps) + decay * w[i]);
    g[i] = A(0);
  }
};

// After the last parameter: the clip factor is spent. One row.
struct EndStep {
  StepState* state;
  ESPALIER_FN void operator()(Index) const {
    if (state->clip < 0) ++state->skipped;
    state->clip = 1;
  }
};

}  // namespace espalier::inline v0::kernel
