// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/kernel/math.hpp>

namespace espalier::inline v0::kernel {

// y = tanh x
template <class From, class To, class A>
struct Tanh {
  const From* x;
  To* y;
  ESPALIER_FN void operator()(Index i) const { y[i] = To(tanh(widen<A>(x[i]))); }
};

// dx = dy (1 − y²)
template <class From, class To, class A>
struct TanhBackward {
  const To *y, *dy;
  From* dx;
  ESPALIER_FN void operator()(Index i) const {
    const A value = widen<A>(y[i]);
    dx[i] = From(widen<A>(dy[i]) * (A(1) - value * value));
  }
};

}  // namespace espalier::inline v0::kernel
