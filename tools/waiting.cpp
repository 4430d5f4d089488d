// SPDX-License-Identifier: MIT
#include "waiting.hpp"

#include <unistd.h>

#include <cstdlib>

namespace espalier::tool {

void wait_briefly([[maybe_unused]] char** argv) {
#if defined(_OPENMP) && defined(__linux__)
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (::setenv("OMP_WAIT_POLICY", "passive", 1) == 0)
    ::execv("/proc/self/exe", argv);  // returns only if it failed: go on as it is
#endif
}

}  // namespace espalier::tool
