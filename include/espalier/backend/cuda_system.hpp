// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/backend/cuda_copy.hpp>
#include <espalier/backend/cuda_device.hpp>
#include <espalier/backend/cuda_graph.hpp>
#include <espalier/backend/cuda_launch.hpp>
#include <espalier/backend/cuda_memory.hpp>
#include <espalier/backend/cuda_product.hpp>
#include <espalier/core/view.hpp>
#include <espalier/kernel/product.hpp>
#include <thrust/system/cuda/execution_policy.h>
#include <thrust/system_error.h>
#include <type_traits>

namespace espalier::inline v0 {

/// What ThrustDevice asks of a system, on an NVIDIA device of compute capability 8.0 or newer: one stream, in whose order
/// everything happens. The host waits for it where numbers come back, and where 32 MiB of uploads are on their way.
class CudaSystem {
 public:
  struct Options {
    int device = 0;      ///< number among those the process sees
    bool graphs = true;  ///< recorded steps are launched as a whole
  };

  /// Throws Errc::resources where there is no such device.
  explicit CudaSystem(const Options& o)
      : facts_(open(o.device)), memory_(facts_, stream_), copies_(stream_), rows_(facts_, stream_, memory_),
        products_(stream_, memory_), recorder_(stream_, memory_, rows_, o.graphs) {}
  ~CudaSystem() { static_cast<void>(cudaSetDevice(facts_.number)); }
  CudaSystem(const CudaSystem&) = delete;
  CudaSystem& operator=(const CudaSystem&) = delete;

  std::byte* allocate(Index bytes) {
    select();
    return memory_.take(bytes);
  }
  void release(std::byte* p, Index) noexcept {
    static_cast<void>(cudaSetDevice(facts_.number));
    memory_.give_back(p);
  }

  template <class F>
  void launch(F&& f) {
    select();
    try {
      f(thrust::cuda::par_nosync.on(stream_));
    } catch (const thrust::system_error& error) {
      fail(Errc::failed, "CUDA: launch of an element-wise kernel: {}", error.what());
    }
  }
  template <class Kernel>
  void rows(Index n, const Kernel& kernel) {
    select();
    rows_.launch(n, kernel);
  }
  void copy_in(std::byte* to, const std::byte* from, Index bytes) {
    refuse_while_recording("an upload");
    select();
    copies_.in(to, from, bytes);
  }
  void copy_out(const std::byte* from, std::byte* to, Index bytes) {
    refuse_while_recording("a download");
    select();
    copies_.out(from, to, bytes);
  }
  template <class A, class P, class Q, class R>
  void multiply(A alpha, View<const P, 2> a, View<const Q, 2> b, A beta, View<R, 2> c) {
    select();
    if constexpr (detail::cublas_multiplies<P, Q, R, A>)
      if (products_.multiply<P, R, A>(alpha, a, b, beta, c)) return;
    const kernel::Product<P, Q, R, A> product{alpha, a, b, beta, c};
    rows_.launch(product.blocks(), product);
  }
  template <class F>
  void record(F& f) {
    select();
    recorder_.run(*this, f);
  }
  auto& recordings() { return recorder_.recordings(); }

  /// Returns when everything that was asked for is done.
  void wait() {
    select();
    stream_.wait();
  }
  const CudaDeviceFacts& facts() const { return facts_; }
  Index memory_used() const { return memory_.used(); }  ///< bytes, now and at most
  Index memory_peak() const { return memory_.peak(); }
  void forget_memory_peak() { memory_.forget_peak(); }
  long allocations() const { return memory_.taken(); }  ///< how often memory was taken
  long captures() const { return recorder_.captures(); }  ///< how many graphs of recorded steps were made
  long replays() const { return recorder_.replays(); }    ///< how many were launched

 private:
  static CudaDeviceFacts open(int number) {
    CudaDeviceFacts facts = detail::require_cuda_device(number);
    detail::check_cuda(cudaSetDevice(number), "cudaSetDevice");
    return facts;
  }
  /// The calling thread may have used another device since.
  void select() const {
    int now = -1;
    detail::check_cuda(cudaGetDevice(&now), "cudaGetDevice");
    if (now != facts_.number) detail::check_cuda(cudaSetDevice(facts_.number), "cudaSetDevice");
  }
  void refuse_while_recording(const char* what) const {
    if (recorder_.open()) fail(Errc::failed, "CUDA: {} while a step is recorded: do it before or after", what);
  }

  CudaDeviceFacts facts_;
  detail::CudaStream stream_;
  detail::CudaMemory memory_;
  detail::CudaCopies copies_;
  detail::CudaRows rows_;
  detail::CudaProducts products_;
  detail::CudaRecorder<CudaSystem> recorder_;
};

}  // namespace espalier::inline v0
