// SPDX-License-Identifier: MIT
// In a build without CUDA; otherwise with_cuda.cpp.
#include "gpu.hpp"
#include "open_engine.hpp"

namespace espalier::tool {

CudaState cuda_state() { return {}; }

std::unique_ptr<Engine> open_on_gpu(Storage, const std::string&, const LowRankOptions&, std::uint64_t, const TaskRequest&) {
  fail(Errc::resources, "this build has no CUDA");
}

}  // namespace espalier::tool
