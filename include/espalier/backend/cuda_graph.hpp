// SPDX-License-Identifier: MIT
#pragma once
#include <cstdio>
#include <espalier/backend/cuda_launch.hpp>
#include <espalier/backend/cuda_memory.hpp>
#include <espalier/backend/launch_list.hpp>
#include <utility>

namespace espalier::inline v0::detail {

/// Launches that a device knows as a whole, and the scratch memory that they use.
struct CudaGraph {
  CudaGraph() = default;
  ~CudaGraph() {  // one that still runs goes when it is done
    if (graph != nullptr) static_cast<void>(cudaGraphExecDestroy(graph));
  }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  cudaGraphExec_t graph = nullptr;
  const std::byte* scratch = nullptr;
};

/// Replays. What f launches is written down. A list that never came before is launched as it is; when it comes again it is
/// captured as a graph, and from then on that graph is launched, for as long as f asks for the same, byte for byte.
template <class System>
class CudaRecorder {
 public:
  CudaRecorder(const CudaStream& stream, CudaMemory& memory, const CudaRows& rows, bool wanted)
      : stream_(stream), memory_(memory), rows_(rows), wanted_(wanted) {}
  ~CudaRecorder() { static_cast<void>(cudaStreamSynchronize(stream_)); }
  CudaRecorder(const CudaRecorder&) = delete;
  CudaRecorder& operator=(const CudaRecorder&) = delete;

  auto& recordings() { return recordings_; }
  bool open() const { return recordings_.open(); }
  long captures() const { return captures_; }  ///< how many graphs were made
  long replays() const { return replays_; }    ///< how many were launched

  template <class F>
  void run(System& system, F& f) {
    if (open() || !wanted_) return f();
    const CudaMemory::Held held(memory_);  // what f gives back is used by what it launched
    auto& [list, times, whole] = recordings_.write(f);
    if (whole.graph == nullptr || whole.scratch != rows_.scratch()) {
      if (times == 1 || !capture(system, list, whole)) return list.play(system);
    }
    check_cuda(cudaGraphLaunch(whole.graph, stream_), "cudaGraphLaunch of a recorded step");
    ++replays_;
  }

 private:
  /// False, and nothing has run, where it cannot be captured.
  bool capture(System& system, const LaunchList<System>& list, CudaGraph& whole) {
    if (whole.graph != nullptr) static_cast<void>(cudaGraphExecDestroy(std::exchange(whole.graph, nullptr)));
    if (const cudaError_t status = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed); status != cudaSuccess)
      return give_up("cudaStreamBeginCapture", status);
    cudaGraph_t graph = nullptr;
    try {
      const CudaMemory::Beside beside(memory_);
      list.play(system);
    } catch (...) {
      cudaStreamCaptureStatus state = cudaStreamCaptureStatusNone;
      static_cast<void>(cudaStreamIsCapturing(stream_, &state));
      const cudaError_t status = end(graph);
      if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
      if (state != cudaStreamCaptureStatusInvalidated) throw;  // no memory, e.g.
      return give_up("a launch", status);
    }
    if (const cudaError_t status = end(graph); status != cudaSuccess) return give_up("cudaStreamEndCapture", status);
    const cudaError_t status = cudaGraphInstantiate(&whole.graph, graph, 0);
    static_cast<void>(cudaGraphDestroy(graph));
    if (status != cudaSuccess) {
      whole.graph = nullptr;
      return give_up("cudaGraphInstantiate", status);
    }
    whole.scratch = rows_.scratch();
    ++captures_;
    return true;
  }
  cudaError_t end(cudaGraph_t& graph) {
    const cudaError_t status = cudaStreamEndCapture(stream_, &graph);
    if (status != cudaSuccess) static_cast<void>(cudaGetLastError());
    return status;
  }

  bool give_up(const char* call, cudaError_t status) {
    static_cast<void>(cudaGetLastError());
    wanted_ = false;
    std::fprintf(stderr, "espalier: note: CUDA: steps are launched one kernel at a time: recording failed in %s: %s\n", call,
                 cudaGetErrorString(status));
    return false;
  }

  const CudaStream& stream_;
  CudaMemory& memory_;
  const CudaRows& rows_;
  bool wanted_;
  Recordings<System, CudaGraph> recordings_;
  long captures_ = 0, replays_ = 0;
};

}  // namespace espalier::inline v0::detail
