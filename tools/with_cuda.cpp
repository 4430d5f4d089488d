// SPDX-License-Identifier: MIT
// In a build with CUDA; otherwise without_cuda.cpp.
#include <espalier/backend/cuda_device.hpp>

#include "gpu.hpp"
#include "numbers.hpp"
#include "open_engine.hpp"

namespace espalier::tool {

CudaState cuda_state() {
  CudaState state{true, detail::version_text(CUDART_VERSION), {}, ""};
  try {
    for (const CudaDeviceFacts& d : cuda_devices(state.why)) {
      const std::string line = format("{}: {}, compute capability {}.{}, {}", d.number, d.name, d.major, d.minor,
                                      bytes_text(double(d.memory)));
      if (d.enough()) state.devices.push_back(line);
      else state.why += (state.why.empty() ? "" : "; ") + line + ": 8.0 or newer is needed";
    }
  } catch (const Error& error) {
    state.why = error.what();
  }
  return state;
}

std::unique_ptr<Engine> open_on_gpu(Storage weights, const std::string& directory, const LowRankOptions& options, std::uint64_t seed, const TaskRequest& task) {
  return weights == Storage::bf16 ? open_language<CudaBf16>(directory, options, seed, task) : open_language<CudaFp32>(directory, options, seed, task);
}

}  // namespace espalier::tool
