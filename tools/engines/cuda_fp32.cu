// SPDX-License-Identifier: MIT
// Models of language, on a GPU, in fp32.
#include <espalier/backend/cuda.hpp>

#include "engine_of.hpp"

namespace espalier::tool {

template <>
std::unique_ptr<Engine> open_language<CudaFp32>(const std::string& directory, const LowRankOptions& options, std::uint64_t seed, const TaskRequest& task) {
  return with_family(directory, [&](auto family) { return engine_of<Cuda<float>, decltype(family)>(directory, options, seed, task); });
}

}  // namespace espalier::tool
