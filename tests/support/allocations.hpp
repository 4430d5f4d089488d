// SPDX-License-Identifier: MIT
#pragma once
// Counts what operator new hands out. To be included by one file of a program only.
#include <atomic>
#include <cstdlib>
#include <new>

namespace espalier::test {

inline std::atomic<long> allocations{0}, allocated_bytes{0};

[[gnu::noinline]] inline void* counted_new(std::size_t size, std::size_t align) {
  ++allocations, allocated_bytes += long(size);
  void* p = std::aligned_alloc(align, (size + align - 1) / align * align);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

[[gnu::noinline]] inline void counted_delete(void* p) { std::free(p); }

}  // namespace espalier::test

void* operator new(std::size_t size) { return espalier::test::counted_new(size == 0 ? 1 : size, 16); }
void* operator new[](std::size_t size) { return espalier::test::counted_new(size == 0 ? 1 : size, 16); }
void* operator new(std::size_t size, std::align_val_t align) {
  return espalier::test::counted_new(size == 0 ? 1 : size, std::size_t(align));
}
void* operator new[](std::size_t size, std::align_val_t align) {
  return espalier::test::counted_new(size == 0 ? 1 : size, std::size_t(align));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {  // of std::stable_sort
  ++espalier::test::allocations;
  return std::malloc(size);
}
void operator delete(void* p) noexcept { espalier::test::counted_delete(p); }
void operator delete[](void* p) noexcept { espalier::test::counted_delete(p); }
void operator delete(void* p, std::size_t) noexcept { espalier::test::counted_delete(p); }
void operator delete[](void* p, std::size_t) noexcept { espalier::test::counted_delete(p); }
void operator delete(void* p, std::align_val_t) noexcept { espalier::test::counted_delete(p); }
void operator delete[](void* p, std::align_val_t) noexcept { espalier::test::counted_delete(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { espalier::test::counted_delete(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { espalier::test::counted_delete(p); }
