// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// y = gain∘x / rms(x),  rms(x)² = mean(x²) + eps, per row.                                 Zhang & Sennrich 2019, eq. 4
template <class T, class A>
struct RmsNorm {
  View<const T, 2> x;     // (rows, width)
  View<const A, 1> gain;  // (width)
  double eps;
  View<T, 2> y;       // (rows, width)
  View<A, 1> inverse;  // (rows)  1 / rms, kept for backward

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    using std::sqrt;
    const A squares = team.sum(x.cols(), [&](Index j) { return A(x(i, j)) * A(x(i, j)); });
    const A s = A(1) / sqrt(squares / A(double(x.cols())) + A(eps));
    team.each(x.cols(), [&](Index j) { y(i, j) = T(gain(j) * (A(x(i, j)) * s)); });
    inverse(i) = s;
  }
};

// dx += s gain∘dy − s³ x (gain∘dy · x) / width,  s = 1 / rms
template <class T, class A>
struct RmsNormBackward {
  View<const T, 2> x;              // (rows, width)
  View<const A, 1> gain, inverse;  // (width), (rows)
  View<const T, 2> dy;             // (rows, width)
  View<T, 2> dx;                   // (rows, width)

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const A s = inverse(i);
    const A dot = team.sum(x.cols(), [&](Index j) { return gain(j) * A(dy(i, j)) * A(x(i, j)); });
    const A c = dot * s * s * s / A(double(x.cols()));
    team.each(x.cols(), [&](Index j) { dx(i, j) += T(s * gain(j) * A(dy(i, j)) - c * A(x(i, j))); });
  }
};

}  // namespace espalier::inline v0::kernel
