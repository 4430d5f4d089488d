// SPDX-License-Identifier: MIT
#include "kernels_there.hpp"

TEST_CASE("every kernel computes on the device what it computes on the host: bf16") {
  espalier::test::check_every_kernel<espalier::BFloat16, float>(0.01, /*equal=*/false);
}
