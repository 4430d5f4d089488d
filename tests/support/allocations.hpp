// SPDX-License-Identifier: MIT
#pragma once
// Counts what operator new hands out, in programs of whose files one includes it or several: hence weak.
#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include "threads.hpp"

namespace espalier::test {

inline std::atomic<long> allocations{0}, allocated_bytes{0};

[[gnu::noinline]] inline void* counted_new(std::size_t size, std::size_t align) {
  ++allocations, allocated_bytes += long(size);
  void* p = std::aligned_alloc(align, (size + align - 1) / align * align);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

[[gnu::noinline]] inline void counted_delete(void* p) { std::free(p); }

/// How many bytes f() takes on a thread that has nothing yet and works alone: scratch memory, which threads keep, included.
template <class F>
long bytes_on_a_new_thread(const F& f) {
  long bytes = 0;
  std::thread([&] {
    use_threads(1);
    const long before = allocated_bytes;
    f();
    bytes = allocated_bytes - before;
  }).join();
  return bytes;
}

}  // namespace espalier::test

[[gnu::weak]] void* operator new(std::size_t size) { return espalier::test::counted_new(size == 0 ? 1 : size, 16); }
[[gnu::weak]] void* operator new[](std::size_t size) { return espalier::test::counted_new(size == 0 ? 1 : size, 16); }
[[gnu::weak]] void* operator new(std::size_t size, std::align_val_t align) {
  return espalier::test::counted_new(size == 0 ? 1 : size, std::size_t(align));
}
[[gnu::weak]] void* operator new[](std::size_t size, std::align_val_t align) {
  return espalier::test::counted_new(size == 0 ? 1 : size, std::size_t(align));
}
[[gnu::weak]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {  // of std::stable_sort
  ++espalier::test::allocations;
  return std::malloc(size);
}
[[gnu::weak]] void operator delete(void* p) noexcept { espalier::test::counted_delete(p); }
[[gnu::weak]] void operator delete[](void* p) noexcept { espalier::test::counted_delete(p); }
[[gnu::weak]] void operator delete(void* p, std::size_t) noexcept { espalier::test::counted_delete(p); }
[[gnu::weak]] void operator delete[](void* p, std::size_t) noexcept { espalier::test::counted_delete(p); }
[[gnu::weak]] void operator delete(void* p, std::align_val_t) noexcept { espalier::test::counted_delete(p); }
[[gnu::weak]] void operator delete[](void* p, std::align_val_t) noexcept { espalier::test::counted_delete(p); }
[[gnu::weak]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { espalier::test::counted_delete(p); }
[[gnu::weak]] void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { espalier::test::counted_delete(p); }
