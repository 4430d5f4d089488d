// SPDX-License-Identifier: MIT
#include "kernels_there.hpp"

TEST_CASE("every kernel computes on the device what it computes on the host: fp64") {
  espalier::test::check_every_kernel<double, double>(1e-12, /*equal=*/true);
}
