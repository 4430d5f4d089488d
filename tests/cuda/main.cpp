// SPDX-License-Identifier: MIT
// Runs the tests on the device. Without one it says why, runs those that need none, and ends with 77: skipped.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <espalier/backend/cuda_device.hpp>
#include <string>

/// Empty where there is one that is new enough.
static std::string why_no_device() {
  std::string why;
  for (const espalier::CudaDeviceFacts& d : espalier::cuda_devices(why))
    if (d.enough()) return "";
  return why.empty() ? "no device has compute capability 8.0" : why;
}

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const std::string why = why_no_device();
  if (!why.empty()) context.addFilter("test-case", "*without a device*");
  const int status = context.run();
  if (why.empty() || status != 0) return status;
  std::printf("skipped: the tests that need a device: %s\n", why.c_str());
  return 77;
}
