// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>

#define ESPALIER_VERSION_MAJOR 0
#define ESPALIER_VERSION_MINOR 1
#define ESPALIER_VERSION_PATCH 0
#define ESPALIER_VERSION_STRING "0.1.0"

#if defined(__FAST_MATH__)
#error "espalier promises equal bits and finite checks: compile without -ffast-math"
#endif

// Everything a kernel calls carries this mark; bodies never differ under __CUDACC__.
#if defined(__CUDACC__)
#define ESPALIER_FN __host__ __device__
#else
#define ESPALIER_FN
#endif

// An OpenMP directive that vanishes, without a warning, where OpenMP is off.
#if defined(_OPENMP)
#define ESPALIER_STRING(x) #x
#define ESPALIER_OMP(directive) _Pragma(ESPALIER_STRING(omp directive))
#else
#define ESPALIER_OMP(directive)
#endif

namespace espalier::inline v0 {

/// Extents, strides and positions: signed, 64-bit.
using Index = std::ptrdiff_t;

}  // namespace espalier::inline v0
