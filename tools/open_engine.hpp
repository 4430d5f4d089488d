// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/families.hpp>

#include "engine.hpp"

namespace espalier::tool {

// Where a model computes, as types that name no device's header.
struct CpuFp32;
struct CpuBf16;
struct CudaFp32;
struct CudaBf16;

/// The engine of a family at a place; each is compiled in a file of its own, made from engine.cpp.in.
template <class Place, class Family>
std::unique_ptr<Engine> open_at(const std::string& directory, const LowRankOptions&, std::uint64_t seed, const TaskRequest&);

/// Of the family that config.json names, at one of two places.
template <class Fp32, class Bf16>
std::unique_ptr<Engine> open_as(Storage weights, const std::string& directory, const LowRankOptions& options,
                                std::uint64_t seed, const TaskRequest& task) {
  return with_family(directory, [&](auto family) {
    using Family = decltype(family);
    return weights == Storage::bf16 ? open_at<Bf16, Family>(directory, options, seed, task)
                                    : open_at<Fp32, Family>(directory, options, seed, task);
  });
}

/// In with_cuda.cpp, or refused by without_cuda.cpp.
std::unique_ptr<Engine> open_on_gpu(Storage weights, const std::string& directory, const LowRankOptions&,
                                    std::uint64_t seed, const TaskRequest&);

}  // namespace espalier::tool
