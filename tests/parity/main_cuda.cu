// SPDX-License-Identifier: MIT
// The cases on an NVIDIA device; where there is none: why, and 77.
#include <cstdio>

#include "parity/judge.hpp"
#if __has_include(<espalier/backend/cuda.hpp>)
#include "parity/cuda.hpp"
#endif

int main(int count, char** words) {
#if __has_include(<espalier/backend/cuda.hpp>)
  try {
    espalier::test::parity::Fp32 device;
  } catch (const espalier::Error& error) {
    std::printf("skipped: %s\n", error.what());
    return 77;
  }
  return espalier::test::parity::run_all(count, words);
#else
  std::printf("skipped: %s was built without a CUDA backend, and ignores %d words\n", words[0], count - 1);
  return 77;
#endif
}
