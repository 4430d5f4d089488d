// SPDX-License-Identifier: MIT
#pragma once
#include <cstdio>
#include <deque>
#include <espalier/backend/cuda_memory.hpp>

namespace espalier::inline v0::detail {

/// Launches as a graph: what f launches is recorded and given to the device as a whole. The graph of the last time is
/// brought up to date where only numbers and addresses have changed, and made anew where more has. f runs as it is for
/// as long as it still takes memory, inside another recording, and where recording does not succeed.
class CudaRecorder {
 public:
  CudaRecorder(const CudaStream& stream, CudaMemory& memory, bool wanted)
      : stream_(stream), memory_(memory), wanted_(wanted) {}
  ~CudaRecorder() {
    static_cast<void>(cudaStreamSynchronize(stream_));
    for (const Place& p : places_)
      if (p.graph != nullptr) static_cast<void>(cudaGraphExecDestroy(p.graph));
  }
  CudaRecorder(const CudaRecorder&) = delete;
  CudaRecorder& operator=(const CudaRecorder&) = delete;

  bool recording() const { return recording_; }
  long replays() const { return replays_; }  ///< how many graphs were launched

  template <class F>
  void run(F& f) {
    static const char here = 0;  // each place that records has an f of its own type
    if (recording_ || !wanted_) return f();
    const long before = memory_.taken();
    Place& place = place_of(&here);
    if (!place.steady) {
      f();
      place.steady = memory_.taken() == before;
      return;
    }
    cudaGraph_t graph = record(f);
    if (graph == nullptr) return f();  // nothing of it has run
    replay(place, graph);
    place.steady = memory_.taken() == before;
  }

 private:
  struct Place {
    const void* key = nullptr;
    bool steady = false;  // the last time took no memory
    cudaGraphExec_t graph = nullptr;
  };
  Place& place_of(const void* key) {
    for (Place& p : places_)
      if (p.key == key) return p;
    places_.push_back({key});
    return places_.back();
  }

  /// What f launches; null where it cannot be recorded.
  template <class F>
  cudaGraph_t record(F& f) {
    if (const cudaError_t status = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed); status != cudaSuccess) {
      give_up("cudaStreamBeginCapture", status);
      return nullptr;
    }
    recording_ = true;
    memory_.pause();
    cudaGraph_t graph = nullptr;
    try {
      f();
    } catch (...) {
      cudaStreamCaptureStatus state = cudaStreamCaptureStatusNone;
      static_cast<void>(cudaStreamIsCapturing(stream_, &state));
      const cudaError_t status = end(graph);
      if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
      memory_.resume();
      if (state != cudaStreamCaptureStatusInvalidated) throw;  // an error of f
      give_up("a launch", status);
      return nullptr;
    }
    if (const cudaError_t status = end(graph); status != cudaSuccess) {
      memory_.resume();
      give_up("cudaStreamEndCapture", status);
      return nullptr;
    }
    return graph;
  }
  cudaError_t end(cudaGraph_t& graph) {
    recording_ = false;
    const cudaError_t status = cudaStreamEndCapture(stream_, &graph);
    if (status != cudaSuccess) static_cast<void>(cudaGetLastError());
    return status;
  }

  void replay(Place& place, cudaGraph_t graph) {
    cudaError_t status = cudaErrorGraphExecUpdateFailure;
    if (place.graph != nullptr) {
      cudaGraphExecUpdateResultInfo info{};
      status = cudaGraphExecUpdate(place.graph, graph, &info);
    }
    if (status != cudaSuccess) {
      static_cast<void>(cudaGetLastError());
      if (place.graph != nullptr) static_cast<void>(cudaGraphExecDestroy(place.graph));
      place.graph = nullptr;
      status = cudaGraphInstantiate(&place.graph, graph, 0);
    }
    static_cast<void>(cudaGraphDestroy(graph));
    if (status == cudaSuccess) status = cudaGraphLaunch(place.graph, stream_);
    memory_.resume();  // after the launch: what was given back meanwhile is used by it
    check_cuda(status, "instantiating and launching a recorded step");
    ++replays_;
  }

  void give_up(const char* call, cudaError_t status) {
    static_cast<void>(cudaGetLastError());
    wanted_ = false;
    std::fprintf(stderr, "espalier: note: CUDA: steps are launched one kernel at a time: recording failed in %s: %s\n", call,
                 cudaGetErrorString(status));
  }

  const CudaStream& stream_;
  CudaMemory& memory_;
  bool wanted_, recording_ = false;
  std::deque<Place> places_;  // they stay where they are while others come
  long replays_ = 0;
};

}  // namespace espalier::inline v0::detail
