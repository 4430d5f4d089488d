// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/view.hpp>
#include <espalier/kernel/math.hpp>

namespace espalier::inline v0::kernel {

// h = silu(gate)∘up∘M,  silu(g) = g σ(g), per row.                                                     Shazeer 2020
template <class T, class A>
struct SwiGlu {
  View<const T, 2> gate, up;  // (rows, width)
  View<const A, 1> mask;      // (width)
  View<T, 2> h;               // (rows, width)

  ESPALIER_FN Index width() const { return h.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const T *const gi = gate.row(i), *const ui = up.row(i);
    const A* const m = mask.data;
    T* const hi = h.row(i);
    team.each(h.cols(), [&](Index j) {
      const A g = A(gi[j]);
      hi[j] = T(g * sigmoid(g) * A(ui[j]) * m[j]);
    });
  }
};

// dup = dh∘M∘silu(gate),  dgate = dh∘M∘up∘σ(1 + gate(1 − σ)). The mask of backward may differ (straight-through).
template <class T, class A>
struct SwiGluBackward {
  View<const T, 2> gate, up, dh;  // (rows, width)
  View<const A, 1> mask;          // (width)
  View<T, 2> dgate, dup;          // (rows, width)

  ESPALIER_FN Index width() const { return dh.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const T *const gi = gate.row(i), *const ui = up.row(i), *const dhi = dh.row(i);
    const A* const m = mask.data;
    T *const dgi = dgate.row(i), *const dui = dup.row(i);
    team.each(dh.cols(), [&](Index j) {
      const A g = A(gi[j]), d = A(dhi[j]) * m[j], u = A(ui[j]), s = sigmoid(g);
      dui[j] = T(d * g * s);
      dgi[j] = T(d * u * s * (A(1) + g * (A(1) - s)));
    });
  }
};

}  // namespace espalier::inline v0::kernel
