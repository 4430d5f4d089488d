// SPDX-License-Identifier: MIT
#include <espalier/backend/cpu.hpp>

#include "engine_of.hpp"

namespace espalier::tool {

std::unique_ptr<Engine> open_bf16(const std::string& directory, const LowRankOptions& options, std::uint64_t seed) {
  return std::make_unique<EngineOf<Cpu<float, BFloat16>>>(directory, options, seed);
}

}  // namespace espalier::tool
