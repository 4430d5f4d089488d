// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/backend/cuda_error.hpp>
#include <espalier/core/config.hpp>
#include <string>
#include <vector>

namespace espalier::inline v0 {

/// What is told about a device.
struct CudaDeviceFacts {
  int number = 0;
  std::string name;
  int major = 0, minor = 0;     ///< compute capability
  Index memory = 0;             ///< bytes
  int processors = 0;           ///< streaming multiprocessors
  Index shared_a_block = 0;     ///< bytes of shared memory that a block may ask for
  Index resident_threads = 0;   ///< of a multiprocessor

  bool enough() const { return major >= 8; }  ///< bf16 products
};

namespace detail {

inline CudaDeviceFacts look_at_cuda_device(int number) {
  cudaDeviceProp p;
  check_cuda(cudaGetDeviceProperties(&p, number), "cudaGetDeviceProperties");
  return {number, p.name, p.major, p.minor, Index(p.totalGlobalMem), p.multiProcessorCount,
          Index(p.sharedMemPerBlockOptin), Index(p.maxThreadsPerMultiProcessor)};
}

inline std::string version_text(int v) { return format("{}.{}", v / 1000, v % 1000 / 10); }

/// How many devices there are, and why there are none.
inline int count_cuda_devices(std::string& why) {
  int count = 0, driver = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  static_cast<void>(cudaGetLastError());
  static_cast<void>(cudaDriverGetVersion(&driver));
  why = status != cudaSuccess ? cudaGetErrorString(status) : "the driver knows no device";
  why += driver == 0 ? "; no NVIDIA driver is loaded" : "; the driver is for CUDA " + version_text(driver);
  why += ", this program was built with CUDA " + version_text(CUDART_VERSION);
  return 0;
}

inline CudaDeviceFacts require_cuda_device(int number) {
  std::string why;
  const int count = count_cuda_devices(why);
  if (count == 0)
    fail(Errc::resources,
         "CUDA: there is no device to compute on: {}. nvidia-smi lists the cards that the driver sees; without one, "
         "compute on the CPU",
         why);
  if (number < 0 || number >= count)
    fail(Errc::resources, "CUDA: device {} was asked for; there {} numbered from 0 (CUDA_VISIBLE_DEVICES may hide some)",
         number, count == 1 ? std::string("is 1,") : format("are {},", count));
  const CudaDeviceFacts facts = look_at_cuda_device(number);
  if (!facts.enough())
    fail(Errc::resources,
         "CUDA: device {} ({}) has compute capability {}.{}, and 8.0 (Ampere) or newer is needed: choose another device, "
         "or compute on the CPU",
         number, facts.name, facts.major, facts.minor);
  return facts;
}

}  // namespace detail

/// The devices that a program can reach; where there are none, `why` says so in words.
inline std::vector<CudaDeviceFacts> cuda_devices(std::string& why) {
  std::vector<CudaDeviceFacts> all;
  const int count = detail::count_cuda_devices(why);
  for (int number = 0; number < count; ++number) all.push_back(detail::look_at_cuda_device(number));
  return all;
}

}  // namespace espalier::inline v0
