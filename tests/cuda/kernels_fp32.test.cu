// SPDX-License-Identifier: MIT
#include "kernels_there.hpp"

TEST_CASE("every kernel computes on the device what it computes on the host: fp32") {
  espalier::test::check_every_kernel<float, float>(1e-5, /*equal=*/false);
}
