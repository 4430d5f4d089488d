// SPDX-License-Identifier: MIT
// A view of constants does not become a view of variables.
// expect: could not convert
// expect: no viable conversion
#include <espalier/core/view.hpp>

#if defined(FAULT)
espalier::View<float, 2> writable(espalier::View<const float, 2> x) { return x; }
#else
espalier::View<const float, 2> readable(espalier::View<float, 2> x) { return x; }
#endif
