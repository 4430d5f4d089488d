// SPDX-License-Identifier: MIT
// Encoders, on the CPU, in fp32.
#include <espalier/backend/cpu.hpp>

#include "engine_of.hpp"

namespace espalier::tool {

std::unique_ptr<Engine> open_encoder(const std::string& directory, const LowRankOptions& options, std::uint64_t seed, const TaskRequest& task) {
  return with_encoder_family(directory, predicts_tokens(directory, task),
                             [&](auto family) { return engine_of<Cpu<float>, decltype(family)>(directory, options, seed, task); });
}

}  // namespace espalier::tool
