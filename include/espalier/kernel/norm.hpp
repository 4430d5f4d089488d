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
  View<T, 2> y;        // (rows, width)
  View<A, 1> inverse;  // (rows)  1 / rms, kept for backward
  Index over = 0;      // numbers that the mean is of, zeros that are not there among them; 0: width

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    using std::sqrt;
    const T* const xi = x.row(i);
    T* const yi = y.row(i);
    const A* const g = gain.data;
    const A squares = team.sum(x.cols(), [&](Index j) { return A(xi[j]) * A(xi[j]); });
    const A s = A(1) / sqrt(squares / A(double(over > 0 ? over : x.cols())) + A(eps));
    team.each(x.cols(), [&](Index j) { yi[j] = T(g[j] * (A(xi[j]) * s)); });
    team.once([&] { inverse(i) = s; });
  }
};

// dx += s gain∘dy − s³ x (gain∘dy · x) / width,  s = 1 / rms
template <class T, class A>
struct RmsNormBackward {
  View<const T, 2> x;              // (rows, width)
  View<const A, 1> gain, inverse;  // (width), (rows)
  View<const T, 2> dy;             // (rows, width)
  View<T, 2> dx;                   // (rows, width)
  Index over = 0;                  // as in forward

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const T *const xi = x.row(i), *const dyi = dy.row(i);
    T* const dxi = dx.row(i);
    const A* const g = gain.data;
    const A s = inverse(i);
    const A dot = team.sum(x.cols(), [&](Index j) { return g[j] * A(dyi[j]) * A(xi[j]); });
    const A c = dot * s * s * s / A(double(over > 0 ? over : x.cols()));
    team.each(x.cols(), [&](Index j) { dxi[j] = T(A(dxi[j]) + (s * g[j] * A(dyi[j]) - c * A(xi[j]))); });
  }
};

}  // namespace espalier::inline v0::kernel
