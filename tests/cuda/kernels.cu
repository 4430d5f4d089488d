// SPDX-License-Identifier: MIT
// The arithmetic is written once: the kernels that the CPU runs compile for a device, without a warning and as they stand.
// Only compiled; a team of one thread stands in for the device's.
#if __has_include(<espalier/espalier.hpp>)
#include <espalier/espalier.hpp>
#endif
#include <espalier/kernel/adamw.hpp>
#include <espalier/kernel/attention.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/gather.hpp>
#include <espalier/kernel/norm.hpp>
#include <espalier/kernel/swiglu.hpp>
#include <type_traits>

namespace esp = espalier;

struct Team {
  template <class F>
  __device__ void each(esp::Index n, F f) const {
    for (esp::Index i = 0; i < n; ++i) f(i);
  }
  template <class F>
  __device__ auto sum(esp::Index n, F f) const {
    auto total = f(0);
    for (esp::Index i = 1; i < n; ++i) total += f(i);
    return total;
  }
  template <class F>
  __device__ auto max(esp::Index n, F f) const {
    auto most = f(0);
    for (esp::Index i = 1; i < n; ++i) most = f(i) > most ? f(i) : most;
    return most;
  }
};

template <class Kernel>
__global__ void each(Kernel kernel, esp::Index n) {
  const esp::Index i = esp::Index(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) kernel(i);
}
template <class Kernel>
__global__ void each_row(Kernel kernel, esp::Index n) {
  Team team;
  if (blockIdx.x < n) kernel(team, esp::Index(blockIdx.x));
}

template __global__ void each(esp::kernel::Fill<float>, esp::Index);
template __global__ void each(esp::kernel::Copy<float, esp::BFloat16>, esp::Index);
template __global__ void each(esp::kernel::Accumulate<float>, esp::Index);
template __global__ void each(esp::kernel::AdamW<float>, esp::Index);
template __global__ void each_row(esp::kernel::RmsNorm<float, float>, esp::Index);
template __global__ void each_row(esp::kernel::RmsNormBackward<float, float>, esp::Index);
template __global__ void each_row(esp::kernel::SwiGlu<float, float>, esp::Index);
template __global__ void each_row(esp::kernel::SwiGluBackward<float, float>, esp::Index);

// Kernels and views go to the device as bytes.
static_assert(std::is_trivially_copyable_v<esp::kernel::RmsNorm<float, float>>);
static_assert(std::is_trivially_copyable_v<esp::View<float, 3>>);
