// SPDX-License-Identifier: MIT
// Only what has rows and columns has a transpose.
// expect: no matching function for call to
// expect: constraints not satisfied
#include <espalier/core/view.hpp>

#if defined(FAULT)
espalier::View<float, 1> transposed(espalier::View<float, 1> x) { return x.t(); }
#else
espalier::View<float, 2> transposed(espalier::View<float, 2> x) { return x.t(); }
#endif
