// SPDX-License-Identifier: MIT
#pragma once
// Models that are no Llama, the adapter behind the weight, what makes single weights zero, and what others have computed.
#include "parity/encoders.hpp"
#include "parity/goldens.hpp"
#include "parity/sequential.hpp"
#include "parity/weights.hpp"

namespace espalier::test::parity {

template <class Device>
void families(Judge& judge) {
  judge.group("families", &other_models<Device>);
  judge.group("sequential", &sequential<Device>);
  judge.group("weights", &weights<Device>);
  judge.group("goldens", &goldens<Device>);
}

}  // namespace espalier::test::parity
