// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// h = silu(gate)∘up∘M,  silu(g) = g σ(g), per row.                                                     Shazeer 2020
template <class T, class A>
struct SwiGlu {
  View<const T, 2> gate, up;  // (rows, width)
  View<const A, 1> mask;      // (width)
  View<T, 2> h;               // (rows, width)

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    using std::exp;
    team.each(h.cols(), [&](Index j) {
      const A g = A(gate(i, j));
      h(i, j) = T(g / (A(1) + exp(-g)) * A(up(i, j)) * mask(j));
    });
  }
};

// dup = dh∘M∘silu(gate),  dgate = dh∘M∘up∘σ(1 + gate(1 − σ)). The mask of backward may differ (straight-through).
template <class T, class A>
struct SwiGluBackward {
  View<const T, 2> gate, up, dh;  // (rows, width)
  View<const A, 1> mask;          // (width)
  View<T, 2> dgate, dup;          // (rows, width)

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    using std::exp;
    team.each(dh.cols(), [&](Index j) {
      const A g = A(gate(i, j)), d = A(dh(i, j)) * mask(j), u = A(up(i, j));
      const A s = A(1) / (A(1) + exp(-g));
      dup(i, j) = T(d * g * s);
      dgate(i, j) = T(d * u * s * (A(1) + g * (A(1) - s)));
    });
  }
};

}  // namespace espalier::inline v0::kernel
