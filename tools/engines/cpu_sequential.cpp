// SPDX-License-Identifier: MIT
// Models of language, on the CPU, in fp32, with adapters behind the weights.
#include <espalier/adapter/sequential.hpp>
#include <espalier/backend/cpu.hpp>

#include "engine_of.hpp"

namespace espalier::tool {

template <>
std::unique_ptr<Engine> open_language<CpuSequential>(const std::string& directory, const LowRankOptions& options, std::uint64_t seed, const TaskRequest& task) {
  return with_family(directory, [&](auto family) { return engine_of<Cpu<float>, decltype(family), SequentialAdapter>(directory, options, seed, task); });
}

}  // namespace espalier::tool
