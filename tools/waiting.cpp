// SPDX-License-Identifier: MIT
#include "waiting.hpp"

#if defined(_OPENMP) && defined(__linux__)
#include <omp.h>
#include <sched.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <vector>

namespace espalier::tool {

#if defined(_OPENMP) && defined(__linux__)
namespace {

/// Where threads are bound (OMP_PROC_BIND), OpenMP has put this one on the first place before main() began, and who
/// takes its place would be given that one alone: here are all places again.
void leave_place() {
  cpu_set_t processors;
  CPU_ZERO(&processors);
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> of_place(std::size_t(omp_get_place_num_procs(place)));
    if (of_place.empty()) continue;
    omp_get_place_proc_ids(place, of_place.data());
    for (const int processor : of_place)
      if (processor >= 0 && processor < CPU_SETSIZE) CPU_SET(std::size_t(processor), &processors);
  }
  if (CPU_COUNT(&processors) > 0) ::sched_setaffinity(0, sizeof processors, &processors);
}

}  // namespace
#endif

void wait_briefly([[maybe_unused]] char** argv) {
#if defined(_OPENMP) && defined(__linux__)
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (::setenv("OMP_WAIT_POLICY", "passive", 1) != 0) return;
  leave_place();
  ::execv("/proc/self/exe", argv);  // returns only if it failed: go on as it is
#endif
}

}  // namespace espalier::tool
