// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// cosine(t, j), sine(t, j) of the angle t · frequency(j).
template <class A>
struct RotaryTable {
  View<const double, 1> frequency;  // (width / 2)
  View<A, 2> cosine, sine;          // (seq, width / 2)
  ESPALIER_FN void operator()(Index n) const {
    const Index t = n / frequency.shape[0], j = n % frequency.shape[0];
    const double angle = double(t) * frequency(j);
    cosine(t, j) = A(std::cos(angle));
    sine(t, j) = A(std::sin(angle));
  }
};

// Rotates pairs (j, j + width/2) of every head by direction · t · frequency(j), in place; row i is at position(i), or at
// i mod seq.
// direction = −1 is the inverse and the adjoint.                                            Su et al. 2021, half-split form
template <class T, class A>
struct Rotate {
  View<const A, 2> cosine, sine;  // (seq, width / 2)
  Index heads;
  double direction;
  View<T, 2> x;  // (rows, heads * width)
  const int* position = nullptr;  // (rows), each less than seq; or null

  ESPALIER_FN Index width() const { return cosine.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const Index half = cosine.cols(), t = position != nullptr ? position[i] : i % cosine.rows();
    const A *const cosines = cosine.row(t), *const sines = sine.row(t);
    const A sign = A(direction);
    for (Index h = 0; h < heads; ++h) {
      T *const low = x.row(i) + 2 * half * h, *const high = low + half;
      team.each(half, [&](Index j) {
        const A c = cosines[j], s = sines[j] * sign, u = A(low[j]), v = A(high[j]);
        low[j] = T(c * u - s * v);
        high[j] = T(s * u + c * v);
      });
    }
  }
};

}  // namespace espalier::inline v0::kernel
