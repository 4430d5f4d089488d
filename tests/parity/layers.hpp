// SPDX-License-Identifier: MIT
#pragma once
// From single products to modules.
#include "parity/kernels.hpp"
#include "parity/modules.hpp"
#include "parity/products.hpp"

namespace espalier::test::parity {

template <class Device>
void layers(Judge& judge) {
  judge.group("products", &products<Device>);
  judge.group("kernels", &kernels<Device>);
  judge.group("modules", &modules<Device>);
}

}  // namespace espalier::test::parity
