// SPDX-License-Identifier: MIT
// In a build without CUDA; otherwise with_cuda.cpp and engine_cuda_*.cu.
#include "gpu.hpp"
#include "engine.hpp"

namespace espalier::tool {

CudaState cuda_state() { return {}; }

std::unique_ptr<Engine> open_cuda_fp32(const std::string&, const LowRankOptions&, std::uint64_t) {
  fail(Errc::resources, "this build has no CUDA");
}
std::unique_ptr<Engine> open_cuda_bf16(const std::string&, const LowRankOptions&, std::uint64_t) {
  fail(Errc::resources, "this build has no CUDA");
}

}  // namespace espalier::tool
