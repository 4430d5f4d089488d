// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/backend/cuda.hpp>

namespace espalier::test::parity {
using Fp64 = Cuda<double>;
using Fp32 = Cuda<float>;
using Bf16 = Cuda<BFloat16>;
}  // namespace espalier::test::parity
