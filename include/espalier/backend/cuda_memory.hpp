// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <espalier/backend/cuda_device.hpp>
#include <espalier/backend/cuda_stream.hpp>
#include <memory>
#include <vector>

namespace espalier::inline v0::detail {

/// Memory in the order of a stream: taken without waiting for the device, and kept by the pool when it is given back.
/// While the stream is captured, memory comes by a stream beside it; what is given back can be held for a while.
class CudaMemory {
 public:
  CudaMemory(const CudaDeviceFacts& device, const CudaStream& stream) : device_(device), stream_(stream) {
    cudaMemPoolProps props{};
    props.allocType = cudaMemAllocationTypePinned;
    props.location.type = cudaMemLocationTypeDevice;
    props.location.id = device.number;
    check_cuda(cudaMemPoolCreate(&pool_, &props), "cudaMemPoolCreate");
    std::uint64_t keep = UINT64_MAX;  // what was given back stays ours until the end
    check_cuda(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep), "cudaMemPoolSetAttribute");
  }
  ~CudaMemory() {
    resume();
    static_cast<void>(cudaStreamSynchronize(stream_));
    static_cast<void>(cudaMemPoolDestroy(pool_));
  }
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;

  /// Zeroed.
  std::byte* take(Index bytes) {
    ++taken_;
    if (!captured_) return take(bytes, stream_);
    if (!beside_) beside_ = std::make_unique<CudaStream>();
    std::byte* const p = take(bytes, *beside_);
    beside_->wait();
    return p;
  }
  void give_back(std::byte* p) noexcept {
    if (!held_) {
      static_cast<void>(cudaFreeAsync(p, stream_));
      return;
    }
    try {
      waiting_.push_back(p);
    } catch (...) {  // the host has no memory for the note, and the stream is not ours: this piece is lost
    }
  }

  /// While it lives, what is given back waits: what uses it is still to be launched.
  class Held {
   public:
    explicit Held(CudaMemory& memory) : memory_(memory) { memory_.held_ = true; }
    ~Held() { memory_.resume(); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    CudaMemory& memory_;
  };
  /// While it lives, the stream is being captured.
  class Beside {
   public:
    explicit Beside(CudaMemory& memory) : memory_(memory) { memory_.captured_ = true; }
    ~Beside() { memory_.captured_ = false; }
    Beside(const Beside&) = delete;
    Beside& operator=(const Beside&) = delete;

   private:
    CudaMemory& memory_;
  };

  long taken() const { return taken_; }  ///< how often
  Index used() const { return attribute(cudaMemPoolAttrUsedMemCurrent); }
  Index peak() const { return attribute(cudaMemPoolAttrUsedMemHigh); }
  /// The peak is counted from now on.
  void forget_peak() {
    std::uint64_t zero = 0;
    check_cuda(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrUsedMemHigh, &zero), "cudaMemPoolSetAttribute");
  }

 private:
  std::byte* take(Index bytes, cudaStream_t stream) {
    void* p = nullptr;
    cudaError_t status = cudaMallocFromPoolAsync(&p, std::size_t(bytes), pool_, stream);
    if (status == cudaErrorMemoryAllocation && !captured_) {  // what is free may lie in pieces: give all of it back first
      static_cast<void>(cudaGetLastError());
      check_cuda(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
      check_cuda(cudaMemPoolTrimTo(pool_, 0), "cudaMemPoolTrimTo");
      status = cudaMallocFromPoolAsync(&p, std::size_t(bytes), pool_, stream);
    }
    if (status == cudaErrorMemoryAllocation || (status != cudaSuccess && bytes > device_.memory)) refuse(bytes);
    check_cuda(status, "cudaMallocFromPoolAsync");
    check_cuda(cudaMemsetAsync(p, 0, std::size_t(bytes), stream), "cudaMemsetAsync");
    return static_cast<std::byte*>(p);
  }
  [[noreturn]] void refuse(Index bytes) const {
    static_cast<void>(cudaGetLastError());
    std::size_t free = 0, total = 0;
    static_cast<void>(cudaMemGetInfo(&free, &total));
    fail(Errc::resources,
         "CUDA: device {} ({}) has no {} bytes left: this program uses {} there, {} of {} are free. Fewer or shorter "
         "sequences in a batch, recompute = true, weights in bf16 or another device would help",
         device_.number, device_.name, bytes, used(), free, total);
  }
  void resume() noexcept {
    held_ = false;
    for (std::byte* p : waiting_) static_cast<void>(cudaFreeAsync(p, stream_));
    waiting_.clear();
  }
  Index attribute(cudaMemPoolAttr which) const {
    std::uint64_t value = 0;
    check_cuda(cudaMemPoolGetAttribute(pool_, which, &value), "cudaMemPoolGetAttribute");
    return Index(value);
  }

  const CudaDeviceFacts& device_;
  const CudaStream& stream_;
  cudaMemPool_t pool_ = nullptr;
  std::unique_ptr<CudaStream> beside_;  // for memory taken while the stream is captured
  bool held_ = false, captured_ = false;
  std::vector<std::byte*> waiting_;
  long taken_ = 0;
};

}  // namespace espalier::inline v0::detail
