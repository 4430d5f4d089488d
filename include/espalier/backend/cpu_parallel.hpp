// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#if defined(_OPENMP)
#include <omp.h>
#endif

namespace espalier::inline v0::detail {

/// f(i) for i in [0, n), dealt out `chunk` at a time where it is worth threads. A region that would have a single
/// thread is never opened: OpenMP's run-time library takes memory for each of those, and a training step takes none.
template <class F>
void parallel(Index n, Index chunk, bool worth, const F& f) {
#if defined(_OPENMP)
  if (worth && n > 1 && omp_get_max_threads() > 1 && !omp_in_parallel()) {
    ESPALIER_OMP(parallel for schedule(dynamic, chunk))
    for (Index i = 0; i < n; ++i) f(i);
    return;
  }
#else
  (void)chunk, (void)worth;
#endif
  for (Index i = 0; i < n; ++i) f(i);
}

/// f() once on every thread that parallel would use.
template <class F>
void on_every_thread(const F& f) {
#if defined(_OPENMP)
  if (omp_get_max_threads() > 1 && !omp_in_parallel()) {
    ESPALIER_OMP(parallel)
    f();
    return;
  }
#endif
  f();
}

}  // namespace espalier::inline v0::detail
