// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/backend/cuda_system.hpp>
#include <espalier/backend/thrust.hpp>

namespace espalier::inline v0 {

/// An NVIDIA device. T flows between modules; norms, losses, scores, adapters and their moments are fp32, or fp64
/// throughout for Cuda<double>. Compile with nvcc -std=c++20 --expt-relaxed-constexpr and link cublasLt.
///
///   Cuda<float>      everything in fp32, products without TF32
///   Cuda<BFloat16>   weights and activations in bf16, sums in fp32
template <class T = float, class Weight = T>
using Cuda = ThrustDevice<CudaSystem, T, Weight>;

}  // namespace espalier::inline v0
