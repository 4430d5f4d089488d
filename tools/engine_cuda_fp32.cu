// SPDX-License-Identifier: MIT
#include <espalier/backend/cuda.hpp>

#include "engine_of.hpp"

namespace espalier::tool {

std::unique_ptr<Engine> open_cuda_fp32(const std::string& directory, const LowRankOptions& options, std::uint64_t seed) {
  return std::make_unique<EngineOf<Cuda<float>>>(directory, options, seed);
}

}  // namespace espalier::tool
