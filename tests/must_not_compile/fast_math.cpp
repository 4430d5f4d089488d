// SPDX-License-Identifier: MIT
// expect: compile without -ffast-math
#if defined(FAULT)
#define __FAST_MATH__ 1
#endif
#include <espalier/core/config.hpp>
