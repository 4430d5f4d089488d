// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <vector>

namespace espalier::tool {

/// What this build and this machine know of CUDA.
struct CudaState {
  bool built = false;
  std::string version;               ///< of the toolkit it was built with
  std::vector<std::string> devices;  ///< a line each, those that are too old left out
  std::string why;                   ///< there is none
};
CudaState cuda_state();

}  // namespace espalier::tool
