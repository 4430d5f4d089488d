// SPDX-License-Identifier: MIT
// Models of language, on the CPU, with weights in fp32.
#include <espalier/backend/cpu.hpp>

#include "engine_of.hpp"

namespace espalier::tool {

template <>
std::unique_ptr<Engine> open_language<CpuFp32>(const std::string& directory, const LowRankOptions& options, std::uint64_t seed, const TaskRequest& task) {
  return with_family(directory, [&](auto family) { return engine_of<Cpu<float>, decltype(family)>(directory, options, seed, task); });
}

}  // namespace espalier::tool
