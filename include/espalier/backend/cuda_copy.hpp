// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <deque>
#include <espalier/backend/cuda_stream.hpp>
#include <espalier/core/config.hpp>
#include <memory>
#include <utility>

namespace espalier::inline v0::detail {

/// Copies between the host and a device, in the order of a stream. What goes to the device is laid into a ring of pinned
/// memory first, so that the host goes on at once and waits only where the ring is full.
class CudaCopies {
 public:
  static constexpr Index kRing = Index{32} << 20, kPiece = Index{8} << 20, kAlign = 256;
  static constexpr std::size_t kMost = 512;  // in flight: more than the device lets wait

  explicit CudaCopies(const CudaStream& stream) : stream_(stream) {}
  ~CudaCopies() {
    static_cast<void>(cudaStreamSynchronize(stream_));
    flights_.clear();
    static_cast<void>(cudaFreeHost(ring_));
  }
  CudaCopies(const CudaCopies&) = delete;
  CudaCopies& operator=(const CudaCopies&) = delete;

  /// from may be reused when it returns.
  void in(std::byte* to, const std::byte* from, Index bytes) {
    for (Index at = 0; at < bytes; at += kPiece) {
      const Index n = std::min(kPiece, bytes - at);
      Flight flight = reserve(n);
      std::memcpy(ring_ + flight.begin, from + at, std::size_t(n));
      check_cuda(cudaMemcpyAsync(to + at, ring_ + flight.begin, std::size_t(n), cudaMemcpyHostToDevice, stream_),
                 "cudaMemcpyAsync to the device");
      flight.landed->record(stream_);
      flights_.push_back(std::move(flight));
    }
  }
  /// Done when it returns.
  void out(const std::byte* from, std::byte* to, Index bytes) {
    check_cuda(cudaMemcpyAsync(to, from, std::size_t(bytes), cudaMemcpyDeviceToHost, stream_),
               "cudaMemcpyAsync to the host");
    stream_.wait();
  }

 private:
  /// A part of the ring that the device may still have to read.
  struct Flight {
    Index begin, end;
    std::unique_ptr<CudaEvent> landed;
  };

  Flight reserve(Index bytes) {
    if (ring_ == nullptr) {
      void* p = nullptr;
      check_cuda(cudaHostAlloc(&p, std::size_t(kRing), cudaHostAllocDefault), "cudaHostAlloc of 32 MiB");
      ring_ = static_cast<std::byte*>(p);
    }
    bytes = (bytes + kAlign - 1) / kAlign * kAlign;
    std::unique_ptr<CudaEvent> event;
    const auto retire = [&] {  // the oldest, which the device reads first
      flights_.front().landed->wait();
      event = std::move(flights_.front().landed);
      flights_.pop_front();
    };
    // Flights lie in the ring in the order of their age: whoever is in the way is the oldest.
    if (top_ + bytes > kRing) {
      while (!flights_.empty() && flights_.front().begin >= top_) retire();
      top_ = 0;
    }
    const Index begin = top_, end = top_ + bytes;
    while (!flights_.empty() && flights_.front().begin < end && begin < flights_.front().end) retire();
    if (flights_.size() >= kMost) retire();
    if (!event) event = std::make_unique<CudaEvent>();
    top_ = end;
    return {begin, end, std::move(event)};
  }

  const CudaStream& stream_;
  std::byte* ring_ = nullptr;
  Index top_ = 0;
  std::deque<Flight> flights_;
};

}  // namespace espalier::inline v0::detail
