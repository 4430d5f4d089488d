// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>
#include <espalier/kernel/math.hpp>

// What stands between the two maps of a feed-forward layer: each a functor that gives its value and slope at x.
namespace espalier::inline v0::kernel {

template <class A>
struct ValueAndSlope {
  A value, slope;
};

// x where it is positive.
struct Relu {
  template <class A>
  ESPALIER_FN ValueAndSlope<A> operator()(A x) const {
    const A zero(0), one(1);
    return larger(x, zero) == x && x != zero ? ValueAndSlope<A>{x, one} : ValueAndSlope<A>{zero, zero};
  }
};

// x σ(x)                                                                                        Elfwing et al. 2017
struct Silu {
  template <class A>
  ESPALIER_FN ValueAndSlope<A> operator()(A x) const {
    const A s = sigmoid(x);
    return {x * s, s * (A(1) + x * (A(1) - s))};
  }
};

// x Φ(x), Φ the normal distribution                                                        Hendrycks & Gimpel 2016
struct Gelu {
  template <class A>
  ESPALIER_FN ValueAndSlope<A> operator()(A x) const {
    const A below = A(0.5) * (A(1) + erf(x * A(0.70710678118654752)));
    const A density = A(0.39894228040143268) * exp(A(-0.5) * x * x);
    return {x * below, below + x * density};
  }
};

// Its approximation ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))): "gelu_new" and "gelu_pytorch_tanh".     the same, section 2
struct GeluTanh {
  template <class A>
  ESPALIER_FN ValueAndSlope<A> operator()(A x) const {
    const A c = A(0.79788456080286536), k = A(0.044715);
    const A half = A(0.5) * (A(1) + tanh(c * x * (A(1) + k * x * x)));
    return {x * half, half + A(2) * x * half * (A(1) - half) * c * (A(1) + A(3) * k * x * x)};
  }
};

// tanh x, between a pooler and a classifier                                                        Devlin et al. 2018
struct Tanh {
  template <class A>
  ESPALIER_FN ValueAndSlope<A> operator()(A x) const {
    const A value = tanh(x);
    return {value, A(1) - value * value};
  }
};

// h = f(x)∘M, per row.
template <class F, class T, class A>
struct Activate {
  View<const T, 2> x;     // (rows, width)
  View<const A, 1> mask;  // (width)
  View<T, 2> h;           // (rows, width)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const T* const xi = x.row(i);
    T* const hi = h.row(i);
    const A* const m = mask.data;
    team.each(x.cols(), [&](Index j) { hi[j] = T(F()(widen<A>(xi[j])).value * m[j]); });
  }
};

// dx = dh∘M∘f'(x), per row. The mask of backward may differ (straight-through).
template <class F, class T, class A>
struct ActivateBackward {
  View<const T, 2> x, dh;  // (rows, width)
  View<const A, 1> mask;   // (width)
  View<T, 2> dx;           // (rows, width)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const T *const xi = x.row(i), *const dhi = dh.row(i);
    T* const dxi = dx.row(i);
    const A* const m = mask.data;
    team.each(x.cols(), [&](Index j) { dxi[j] = T(widen<A>(dhi[j]) * m[j] * F()(widen<A>(xi[j])).slope); });
  }
};

}  // namespace espalier::inline v0::kernel
