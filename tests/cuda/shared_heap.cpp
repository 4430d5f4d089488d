// SPDX-License-Identifier: MIT
#include "shared_heap.hpp"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <stdexcept>

namespace {

constexpr std::size_t kRoom = std::size_t{256} << 20, kAlign = 64;
std::byte* room = nullptr;
std::size_t top = 0;
bool sharing = false;

}  // namespace

void* operator new(std::size_t bytes) {
  void* p = nullptr;
  if (sharing && top + bytes + kAlign < kRoom) {
    p = room + top;
    top += (bytes + kAlign - 1) / kAlign * kAlign;
  } else {
    p = std::malloc(bytes == 0 ? 1 : bytes);
  }
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void operator delete(void* p) noexcept {
  const auto* const at = static_cast<std::byte*>(p);
  if (room == nullptr || at < room || at >= room + kRoom) std::free(p);
}
void operator delete(void* p, std::size_t) noexcept { operator delete(p); }

namespace espalier::test {

SharedHeap::SharedHeap() {
  void* p = room;
  if (room == nullptr && cudaMallocManaged(&p, kRoom, cudaMemAttachGlobal) != cudaSuccess)
    throw std::runtime_error("no memory that host and device share");
  room = static_cast<std::byte*>(p);
  sharing = true;
}
SharedHeap::~SharedHeap() { sharing = false; }

}  // namespace espalier::test
