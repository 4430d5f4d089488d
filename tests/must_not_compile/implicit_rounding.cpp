// SPDX-License-Identifier: MIT
// A float is rounded to storage only where the program says so.
// expect: could not convert
// expect: no viable conversion
#include <espalier/core/dtype.hpp>

#if defined(FAULT)
espalier::BFloat16 stored(float x) { return x; }
#else
espalier::BFloat16 stored(float x) { return espalier::BFloat16(x); }
#endif
