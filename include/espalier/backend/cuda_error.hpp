// SPDX-License-Identifier: MIT
#pragma once
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <espalier/core/error.hpp>
#include <string>

namespace espalier::inline v0::detail {

/// A call of the CUDA runtime that did not succeed, with its name and the runtime's own words. Kernels run later than
/// they are launched: what one of them did wrong is told by whichever call comes next.
inline void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) [[likely]] return;
  static_cast<void>(cudaGetLastError());  // one that the device survives is told once
  const bool memory = status == cudaErrorMemoryAllocation;
  const bool architecture = status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction;
  fail(memory ? Errc::resources : Errc::failed, "CUDA: {}: {} ({}){}", call, cudaGetErrorString(status),
       cudaGetErrorName(status),
       architecture ? "; the program was compiled for other devices: compile it with -arch=native, or name this device's "
                      "architecture in ESPALIER_CUDA_ARCHITECTURES"
                    : "");
}

inline void check_cublas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]] return;
  fail(status == CUBLAS_STATUS_ALLOC_FAILED ? Errc::resources : Errc::failed, "cuBLAS: {}: {} ({})", call,
       cublasLtGetStatusString(status), cublasLtGetStatusName(status));
}

}  // namespace espalier::inline v0::detail
