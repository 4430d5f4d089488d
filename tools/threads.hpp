// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#if defined(_OPENMP)
#include <omp.h>
#endif

namespace espalier::tool {

/// 0: as OpenMP decides.
inline void use_threads([[maybe_unused]] Index n) {
#if defined(_OPENMP)
  if (n > 0) omp_set_num_threads(int(n));
#endif
}

inline int threads_in_use() {
#if defined(_OPENMP)
  return omp_get_max_threads();
#else
  return 1;
#endif
}

}  // namespace espalier::tool
