// SPDX-License-Identifier: MIT
#pragma once
// Thrust on the host: teams of several members, memory of its own, activations in bf16.
#include "support/thrust_host.hpp"

namespace espalier::test::parity {
using Fp64 = ThrustHost<double>;
using Fp32 = ThrustHost<float>;
using Bf16 = ThrustHost<BFloat16>;
}  // namespace espalier::test::parity
