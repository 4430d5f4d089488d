// SPDX-License-Identifier: MIT
// In a build with CUDA; otherwise without_cuda.cpp.
#include <espalier/backend/cuda_device.hpp>

#include "gpu.hpp"
#include "numbers.hpp"

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

}  // namespace espalier::tool
