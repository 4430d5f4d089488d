// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// y = gain∘x̂ + shift,  x̂ = (x − mean(x)) / √(var(x) + eps), per row; the variance is the mean square of x − mean(x).
//                                                                                      Ba, Kiros & Hinton 2016, eq. 3
template <class T, class A>
struct LayerNorm {
  View<const T, 2> x;           // (rows, width)
  View<const A, 1> gain, shift;  // (width)
  double eps;
  View<T, 2> y;                 // (rows, width)
  View<A, 1> mean, inverse;     // (rows)  kept for backward

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    using std::sqrt;
    const T* const xi = x.row(i);
    T* const yi = y.row(i);
    const A *const g = gain.data, *const b = shift.data;
    const A n = A(double(x.cols()));
    const A m = team.sum(x.cols(), [&](Index j) { return widen<A>(xi[j]); }) / n;
    const A squares = team.sum(x.cols(), [&](Index j) {
      const A d = widen<A>(xi[j]) - m;
      return d * d;
    });
    const A s = A(1) / sqrt(squares / n + A(eps));
    team.each(x.cols(), [&](Index j) { yi[j] = T(g[j] * ((widen<A>(xi[j]) - m) * s) + b[j]); });
    team.once([&] { mean(i) = m, inverse(i) = s; });
  }
};

// dx += s (g∘dy − mean(g∘dy) − x̂ mean(g∘dy∘x̂)),  s = 1 / √(var + eps)
template <class T, class A>
struct LayerNormBackward {
  View<const T, 2> x;                    // (rows, width)
  View<const A, 1> gain, mean, inverse;  // (width), (rows), (rows)
  View<const T, 2> dy;                   // (rows, width)
  View<T, 2> dx;                         // (rows, width)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const T *const xi = x.row(i), *const dyi = dy.row(i);
    T* const dxi = dx.row(i);
    const A* const g = gain.data;
    const A m = mean(i), s = inverse(i), n = A(double(x.cols()));
    const A plain = team.sum(x.cols(), [&](Index j) { return g[j] * widen<A>(dyi[j]); }) / n;
    const A along = team.sum(x.cols(), [&](Index j) { return g[j] * widen<A>(dyi[j]) * ((widen<A>(xi[j]) - m) * s); }) / n;
    team.each(x.cols(), [&](Index j) {
      const A normal = (widen<A>(xi[j]) - m) * s;
      dxi[j] = T(widen<A>(dxi[j]) + s * (g[j] * widen<A>(dyi[j]) - plain - normal * along));
    });
  }
};

}  // namespace espalier::inline v0::kernel
