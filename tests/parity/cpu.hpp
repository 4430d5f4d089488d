// SPDX-License-Identifier: MIT
#pragma once
// The reference: the devices that every other test is about.
#include <espalier/backend/cpu.hpp>

namespace espalier::test::parity {
using Fp64 = Cpu<double>;
using Fp32 = Cpu<float>;
using Bf16 = Cpu<float, BFloat16>;
}  // namespace espalier::test::parity
