// SPDX-License-Identifier: MIT
#pragma once
#if defined(_OPENMP)
#include <omp.h>
#endif

namespace espalier::test {

/// From now on this many threads work; without OpenMP it is one anyway.
inline void use_threads([[maybe_unused]] int n) {
#if defined(_OPENMP)
  omp_set_num_threads(n);
#endif
}

}  // namespace espalier::test
