// SPDX-License-Identifier: MIT
#include "engine_of.hpp"

namespace espalier::tool {

std::unique_ptr<Engine> open_bf16(const std::string& directory, const LowRankOptions& options, std::uint64_t seed) {
  return std::make_unique<EngineOf<BFloat16>>(directory, options, seed);
}

}  // namespace espalier::tool
