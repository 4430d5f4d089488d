// SPDX-License-Identifier: MIT
#pragma once
// Thrust's device system is the host here, one thread of it: what a GPU would do is done without one.
#ifndef THRUST_DEVICE_SYSTEM
#error "compile with -DTHRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CPP"
#endif
#include <cstdlib>
#include <cstring>
#include <espalier/backend/thrust.hpp>
#include <espalier/core/error.hpp>
#include <espalier/kernel/product.hpp>
#include <map>
#include <sys/mman.h>
#include <thrust/execution_policy.h>
#include <utility>
#include <vector>

#include "fiber_team.hpp"

namespace espalier::test {

/// A fixed piece of memory that stands for a device's. Guarded, the host cannot even look at it, except while something
/// that was launched runs.
class DeviceMemory {
 public:
  static constexpr Index kPage = 4096, kAlign = 256;

  DeviceMemory(Index bytes, bool guarded) : size_((bytes + kPage - 1) / kPage * kPage), guarded_(guarded) {
    void* const p = ::mmap(nullptr, std::size_t(size_), guarded ? PROT_NONE : PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) fail(Errc::resources, "test device: cannot reserve {} bytes", size_);
    base_ = static_cast<std::byte*>(p);
    holes_[0] = size_;
  }
  ~DeviceMemory() { ::munmap(base_, std::size_t(size_)); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  std::byte* take(Index bytes) {
    bytes = (bytes + kAlign - 1) / kAlign * kAlign;
    for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
      const auto [at, room] = *hole;
      if (room < bytes) continue;
      holes_.erase(hole);
      if (room > bytes) holes_[at + bytes] = room - bytes;
      used_ += bytes, most_ = used_ > most_ ? used_ : most_;
      reach_ = at + bytes > reach_ ? at + bytes : reach_;
      return base_ + at;
    }
    fail(Errc::resources, "the device has no {} bytes left: {} of {} are in use", bytes, used_, size_);
  }
  void give_back(std::byte* p, Index bytes) {
    bytes = (bytes + kAlign - 1) / kAlign * kAlign;
    used_ -= bytes;
    auto here = holes_.emplace(p - base_, bytes).first;
    if (const auto next = std::next(here); next != holes_.end() && here->first + here->second == next->first)
      here->second += next->second, holes_.erase(next);
    if (here != holes_.begin())
      if (const auto before = std::prev(here); before->first + before->second == here->first)
        before->second += here->second, holes_.erase(here);
    // What lies above everything in use is not opened and closed with every launch.
    if (const auto& [at, room] = *holes_.rbegin(); opened_ == 0 && at + room == size_) reach_ = at;
  }
  /// The host may look while this lives.
  class Open {
   public:
    explicit Open(DeviceMemory& memory) : memory_(memory) {
      if (memory_.opened_++ == 0) memory_.protect(PROT_READ | PROT_WRITE);
    }
    ~Open() {
      if (--memory_.opened_ == 0) memory_.protect(PROT_NONE);
    }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    DeviceMemory& memory_;
  };
  Index used() const { return used_; }
  Index most() const { return most_; }

 private:
  void protect(int how) {
    if (guarded_ && ::mprotect(base_, std::size_t((reach_ + kPage - 1) / kPage * kPage), how) != 0) std::abort();
  }

  std::byte* base_ = nullptr;
  Index size_;
  bool guarded_;
  Index used_ = 0, most_ = 0, reach_ = 0;
  int opened_ = 0;
  std::map<Index, Index> holes_;  // first byte -> bytes
};

/// What ThrustDevice asks of a system, on Thrust's own CPU devices.
class ThrustHostSystem {
 public:
  struct Options {
    bool guarded = false;
    Index bytes = Index{1} << 30;  ///< of the device's memory
    int members = 4;               ///< of a team; divides 32
  };
  explicit ThrustHostSystem(const Options& o) : memory_(o.bytes, o.guarded), crew_(o.members) {}

  std::byte* allocate(Index bytes) {
    ++allocations_;
    std::byte* const p = memory_.take(bytes);
    const DeviceMemory::Open open(memory_);
    std::memset(p, 0, std::size_t(bytes));
    return p;
  }
  void release(std::byte* p, Index bytes) noexcept {
    if (recordings_.open()) waiting_.emplace_back(p, bytes);  // what uses it is still to be launched
    else memory_.give_back(p, bytes);
  }

  template <class F>
  void launch(F&& f) {
    const DeviceMemory::Open open(memory_);
    ++launches_;
    f(thrust::device);
  }
  template <class Kernel>
  void rows(Index n, const Kernel& kernel) {
    const Row row{crew_, &kernel, [](Crew& crew, const void* k, Index i) { run_row(crew, *static_cast<const Kernel*>(k), i); }};
    launch([&](const auto& policy) { thrust::for_each_n(policy, thrust::counting_iterator<Index>(0), n, row); });
  }
  void copy_in(std::byte* to, const std::byte* from, Index bytes) {
    forbid_in_recording("upload");
    const DeviceMemory::Open open(memory_);
    std::memcpy(to, from, std::size_t(bytes));
  }
  void copy_out(const std::byte* from, std::byte* to, Index bytes) {
    forbid_in_recording("download");
    const DeviceMemory::Open open(memory_);
    std::memcpy(to, from, std::size_t(bytes));
    ++downloads_;
  }
  template <class A, class P, class Q, class R>
  void multiply(A alpha, View<const P, 2> a, View<const Q, 2> b, A beta, View<R, 2> c) {
    const kernel::Product<P, Q, R, A> product{alpha, a, b, beta, c};
    rows(product.blocks(), product);
  }
  template <class F>
  void record(F&& f) {
    if (recordings_.open()) return f();
    struct Return {
      ThrustHostSystem& system;
      ~Return() {
        for (const auto& [p, bytes] : system.waiting_) system.memory_.give_back(p, bytes);
        system.waiting_.clear();
      }
    } const at_the_end{*this};
    ++records_;
    const auto& recording = recordings_.write(f);
    if (recording.times > 1) ++replays_;
    recording.list.play(*this);
  }
  auto& recordings() { return recordings_; }

  DeviceMemory& memory() { return memory_; }
  /// How often: launches, downloads (each waits for the device), pieces of memory taken, recorded pieces of a step, and
  /// those of them that asked for what an earlier one had asked for, byte for byte: what a GPU launches as a graph.
  long launches() const { return launches_; }
  long downloads() const { return downloads_; }
  long allocations() const { return allocations_; }
  long records() const { return records_; }
  long replays() const { return replays_; }

 private:
  /// One type for all kernels, so that Thrust is compiled once for them.
  struct Row {
    Crew& crew;
    const void* kernel;
    void (*run)(Crew&, const void* kernel, Index);
    void operator()(Index i) const { run(crew, kernel, i); }
  };
  void forbid_in_recording(const char* what) {
    if (recordings_.open()) fail(Errc::failed, "test device: {} while a step is recorded", what);
  }
  DeviceMemory memory_;
  Crew crew_;
  long launches_ = 0, downloads_ = 0, allocations_ = 0, records_ = 0, replays_ = 0;
  struct Nothing {};
  Recordings<ThrustHostSystem, Nothing> recordings_;
  std::vector<std::pair<std::byte*, Index>> waiting_;
};

template <class T = float, class Weight = T>
using ThrustHost = ThrustDevice<ThrustHostSystem, T, Weight>;

}  // namespace espalier::test
