// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstring>
#include <cuda_runtime.h>
#include <espalier/backend/team.hpp>

// Places of DeviceTeam's members on a device. The host compiles them too, because a kernel's operator is for both, and
// never runs them.
namespace espalier::inline v0::detail {

/// x of the lane whose number differs in the bits of `offset`, for numbers of any size.
template <class T>
ESPALIER_FN T across_lanes([[maybe_unused]] unsigned mask, T x, [[maybe_unused]] int offset) {
#if defined(__CUDA_ARCH__)
  constexpr int count = int((sizeof(T) + 3) / 4);
  unsigned words[count] = {};
  std::memcpy(words, &x, sizeof(T));
  for (int k = 0; k < count; ++k) words[k] = __shfl_xor_sync(mask, words[k], offset);
  std::memcpy(&x, words, sizeof(T));
#endif
  return x;
}

/// op over x of `width` neighbouring lanes as a tree that is always the same. Both partners of a step put the lower
/// lane's number first, so that they come to the same bits whatever op is.
template <class T, class Op>
ESPALIER_FN T reduce_lanes(unsigned mask, T x, int lane, int width, Op op) {
  for (int offset = width / 2; offset > 0; offset /= 2) {
    const T other = across_lanes(mask, x, offset);
    x = (lane & offset) == 0 ? op(x, other) : op(other, x);
  }
  return x;
}

/// The memory of a team, as large as its kernel has said.
struct TeamMemory {
  std::byte* memory;
  Index room;

  ESPALIER_FN std::byte* scratch([[maybe_unused]] Index bytes) const {
#if defined(__CUDA_ARCH__)
    if (bytes > room) __trap();  // scratch_bytes() said less
#endif
    return memory;
  }
};

/// Size lanes of a warp, a power of two; several teams share a block.
template <int Size>
struct WarpPlace : TeamMemory {
  static_assert(Size >= 1 && Size <= 32 && (Size & (Size - 1)) == 0);

  ESPALIER_FN Index rank() const {
#if defined(__CUDA_ARCH__)
    return Index(threadIdx.x % Size);
#else
    return 0;
#endif
  }
  ESPALIER_FN static constexpr Index size() { return Size; }
  ESPALIER_FN void meet() const {
#if defined(__CUDA_ARCH__)
    __syncwarp(mask());
#endif
  }
  template <class T, class Op>
  ESPALIER_FN T reduce(T x, Op op) const {
    return reduce_lanes(mask(), x, int(rank()), Size, op);
  }

 private:
  ESPALIER_FN static unsigned mask() {
#if defined(__CUDA_ARCH__)
    if constexpr (Size < 32) return ((1u << Size) - 1u) << (threadIdx.x % 32u / Size * Size);
#endif
    return 0xffffffffu;
  }
};

/// All threads of a block: a power of two of them, at least a warp.
struct BlockPlace : TeamMemory {
  static constexpr int kSlots = 32, kSlot = 16;  // a number of up to 16 bytes a warp
  std::byte* slots;

  ESPALIER_FN Index rank() const {
#if defined(__CUDA_ARCH__)
    return Index(threadIdx.x);
#else
    return 0;
#endif
  }
  ESPALIER_FN Index size() const {
#if defined(__CUDA_ARCH__)
    return Index(blockDim.x);
#else
    return 1;
#endif
  }
  ESPALIER_FN void meet() const {
#if defined(__CUDA_ARCH__)
    __syncthreads();
#endif
  }
  template <class T, class Op>
  ESPALIER_FN T reduce(T x, Op op) const {
    static_assert(sizeof(T) <= kSlot);
    constexpr unsigned all = 0xffffffffu;
    const int lane = int(rank() % 32), warp = int(rank() / 32), warps = int(size() / 32);
    x = reduce_lanes(all, x, lane, 32, op);
    if (lane == 0) std::memcpy(slots + warp * kSlot, &x, sizeof(T));
    meet();
    std::memcpy(&x, slots + lane % (warps > 0 ? warps : 1) * kSlot, sizeof(T));
    x = reduce_lanes(all, x, lane, warps, op);
    meet();  // the slots may be written again
    return x;
  }
};

}  // namespace espalier::inline v0::detail
