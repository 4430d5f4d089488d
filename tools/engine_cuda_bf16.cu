// SPDX-License-Identifier: MIT
#include <espalier/backend/cuda.hpp>

#include "engine_of.hpp"

namespace espalier::tool {

std::unique_ptr<Engine> open_cuda_bf16(const std::string& directory, const LowRankOptions& options, std::uint64_t seed) {
  return std::make_unique<EngineOf<Cuda<BFloat16>>>(directory, options, seed);
}

}  // namespace espalier::tool
