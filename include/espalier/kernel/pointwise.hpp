// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/activation.hpp>

namespace espalier::inline v0::kernel {

// y = f(x), between numbers of two types
template <class F, class From, class To, class A>
struct Apply {
  const From* x;
  To* y;
  ESPALIER_FN void operator()(Index i) const { y[i] = To(F()(widen<A>(x[i])).value); }
};

// dx = dy f'(x)
template <class F, class From, class To, class A>
struct ApplyBackward {
  const From* x;
  const To* dy;
  From* dx;
  ESPALIER_FN void operator()(Index i) const { dx[i] = From(widen<A>(dy[i]) * F()(widen<A>(x[i])).slope); }
};

}  // namespace espalier::inline v0::kernel
