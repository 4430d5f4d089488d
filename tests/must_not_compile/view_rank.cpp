// SPDX-License-Identifier: MIT
// A matrix takes two positions.
// expect: no match for call to
// expect: no matching function for call to object
#include <espalier/core/view.hpp>

#if defined(FAULT)
float element(espalier::View<float, 2> x) { return x(1); }
#else
float element(espalier::View<float, 2> x) { return x(1, 0); }
#endif
