// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <espalier/backend/cuda_memory.hpp>
#include <espalier/backend/cuda_team.hpp>
#include <utility>

namespace espalier::inline v0::detail {

template <class Kernel>
constexpr bool tells_width = requires(const Kernel& k) { k.width(); };
template <class Kernel>
constexpr bool takes_scratch = requires(const Kernel& k) { k.scratch_bytes(); };

/// How many members a team may have: what the kernel says, else a block of any size.
template <class Kernel>
constexpr int most_members() {
  if constexpr (requires { Kernel::kMembers; }) return int(Kernel::kMembers);
  else return 1024;
}
/// Threads of a block at most: kernels that only walk along a row need few registers and gain from many threads.
template <class Kernel>
constexpr int block_threads = std::min(most_members<Kernel>(), takes_scratch<Kernel> ? 256 : 1024);
constexpr int kWarpBlock = 256;

template <int Members, class Kernel>
__global__ void __launch_bounds__(kWarpBlock) rows_by_warps(const __grid_constant__ Kernel kernel, Index n,
                                                            std::byte* memory, Index room) {
  extern __shared__ uint4 shared[];
  const Index teams = Index(blockDim.x) / Members, here = Index(threadIdx.x) / Members;
  const Index team_number = Index(blockIdx.x) * teams + here;
  std::byte* const own =
      memory != nullptr ? memory + team_number * room : reinterpret_cast<std::byte*>(shared) + here * room;
  DeviceTeam<WarpPlace<Members>> team{{{own, room}}};
  for (Index i = team_number; i < n; i += Index(gridDim.x) * teams) kernel(team, i);
}

template <class Kernel>
__global__ void __launch_bounds__(block_threads<Kernel>) rows_by_blocks(const __grid_constant__ Kernel kernel, Index n,
                                                                        std::byte* memory, Index room) {
  extern __shared__ uint4 shared[];
  std::byte* const slots = reinterpret_cast<std::byte*>(shared);
  std::byte* const own =
      memory != nullptr ? memory + Index(blockIdx.x) * room : slots + BlockPlace::kSlots * BlockPlace::kSlot;
  DeviceTeam<BlockPlace> team{{{own, room}, slots}};
  for (Index i = Index(blockIdx.x); i < n; i += Index(gridDim.x)) kernel(team, i);
}

/// Launches of row kernels on one device and stream.
class CudaRows {
 public:
  CudaRows(const CudaDeviceFacts& device, const CudaStream& stream, CudaMemory& memory)
      : device_(device), stream_(stream), memory_(memory) {}
  ~CudaRows() {
    if (scratch_ != nullptr) memory_.give_back(scratch_);
  }
  CudaRows(const CudaRows&) = delete;
  CudaRows& operator=(const CudaRows&) = delete;

  template <class Kernel>
  void launch(Index n, const Kernel& kernel) {
    constexpr int most = most_members<Kernel>();
    static_assert(most >= 1 && (most & (most - 1)) == 0, "kMembers is a power of two");
    Index scratch = 0;
    if constexpr (requires { kernel.scratch_bytes(); }) scratch = (kernel.scratch_bytes() + 127) / 128 * 128;
    if constexpr (most <= 32 || (!takes_scratch<Kernel> && !tells_width<Kernel>)) {
      by_warps<std::min(most, 32)>(n, kernel, scratch);
    } else if constexpr (!tells_width<Kernel>) {
      by_blocks(n, kernel, scratch, block_threads<Kernel>);
    } else {
      const Index width = kernel.width();
      if constexpr (takes_scratch<Kernel>) return by_blocks(n, kernel, scratch, threads_for_tile(width, block_threads<Kernel>));
      else if (width <= 1024) return by_warps<32>(n, kernel, scratch);
      else return by_blocks(n, kernel, scratch, threads_for_row(width, block_threads<Kernel>));
    }
  }

  /// Where teams work that want more than a block may share; it moves when it grows.
  const std::byte* scratch() const { return scratch_; }

 private:
  static constexpr Index kMostBlocks = 0x7fffffff, kPlainShared = 48 << 10, kFarScratch = Index{256} << 20;

  /// Each thread has a few numbers of a row; rows as wide as a vocabulary are few, and get as many threads as there are.
  static int threads_for_row(Index width, int most) {
    return std::min(most, width <= 8192 ? 256 : width <= 32768 ? 512 : 1024);
  }
  /// A thread a column, at least a warp.
  static int threads_for_tile(Index width, int most) {
    int threads = 32;
    while (2 * threads <= std::min<Index>(width, most)) threads *= 2;
    return threads;
  }

  template <int Members, class Kernel>
  void by_warps(Index n, const Kernel& kernel, Index scratch) {
    const Index teams = scratch == 0 ? kWarpBlock / Members
                                     : std::clamp<Index>(kPlainShared / scratch, 1, kWarpBlock / Members);
    go(rows_by_warps<Members, Kernel>, (n + teams - 1) / teams, int(teams) * Members, teams, 0, scratch, n, kernel);
  }
  template <class Kernel>
  void by_blocks(Index n, const Kernel& kernel, Index scratch, int threads) {
    go(rows_by_blocks<Kernel>, n, threads, 1, BlockPlace::kSlots * BlockPlace::kSlot, scratch, n, kernel);
  }

  template <class Launch, class Kernel>
  void go(Launch* launch, Index blocks, int threads, Index teams, Index fixed, Index scratch, Index n,
          const Kernel& kernel) {
    std::byte* memory = nullptr;
    Index shared = fixed + teams * scratch;
    blocks = std::min(blocks, kMostBlocks);
    if (shared > device_.shared_a_block) {  // each block has a place in a memory that does not grow with the rows
      shared = fixed;
      blocks = std::min(blocks, std::max(Index(device_.processors), kFarScratch / (teams * scratch)));
      memory = scratch_of(blocks * teams * scratch);
    } else if (shared > kPlainShared) {
      check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(launch), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      int(shared)),
                 "cudaFuncSetAttribute");
    }
    launch<<<unsigned(blocks), unsigned(threads), std::size_t(shared), stream_>>>(kernel, n, memory, scratch);
    check_cuda(cudaGetLastError(), "launch of a row kernel");
  }

  /// Memory for teams that want more than a block may share. Launches follow one another: they use the same.
  std::byte* scratch_of(Index bytes) {
    if (bytes <= scratch_bytes_) return scratch_;
    if (scratch_ != nullptr) memory_.give_back(std::exchange(scratch_, nullptr));
    scratch_bytes_ = 0;
    scratch_ = memory_.take(bytes), scratch_bytes_ = bytes;
    return scratch_;
  }

  const CudaDeviceFacts& device_;
  const CudaStream& stream_;
  CudaMemory& memory_;
  std::byte* scratch_ = nullptr;
  Index scratch_bytes_ = 0;
};

}  // namespace espalier::inline v0::detail
