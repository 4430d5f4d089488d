// SPDX-License-Identifier: MIT
#pragma once
#include "engine.hpp"

namespace espalier::tool {

// Where a model computes, as types that name no device's header.
struct CpuFp32;
struct CpuBf16;
struct CpuFull;        ///< fp32, and every weight learns
struct CpuSequential;  ///< fp32, and adapters behind the weights learn
struct CudaFp32;
struct CudaBf16;

/// The engine of the family that config.json names, at a place. Each place is a file of engines/, so that they compile
/// side by side.
template <class Place>
std::unique_ptr<Engine> open_language(const std::string& directory, const LowRankOptions&, std::uint64_t seed, const TaskRequest&);
std::unique_ptr<Engine> open_encoder(const std::string& directory, const LowRankOptions&, std::uint64_t seed, const TaskRequest&);

/// In with_cuda.cpp, or refused by without_cuda.cpp.
std::unique_ptr<Engine> open_on_gpu(Storage weights, const std::string& directory, const LowRankOptions&, std::uint64_t seed, const TaskRequest&);

}  // namespace espalier::tool
