// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <espalier/backend/team.hpp>
#include <memory>
#include <ucontext.h>
#include <vector>

namespace espalier::test {

/// Members of a team as fibers of one thread: each has a stack of its own and runs until all have to meet. Who goes
/// first changes from meeting to meeting, so that code that forgets to meet reads what is not there yet; a store that
/// everybody makes happens as often as there are members; a meeting that some do not come to ends the program.
class Crew {
 public:
  explicit Crew(int members) : members_(members), fibers_(std::size_t(members)), exchange_(std::size_t(members)) {}
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  /// work(member) by every member.
  template <class Work>
  void run(const Work& work) {
    call_ = [](const void* w, int member) { (*static_cast<const Work*>(w))(member); };
    work_ = &work;
    std::fill(scratch_.begin(), scratch_.end(), std::byte{0xff});  // whatever was in it: as floating point, NaN
    for (int m = 0; m < members_; ++m) start(m);
    int running = members_;
    for (int phase = 0; running > 0; ++phase) {
      for (int k = 0; k < members_; ++k) {
        const int m = phase % 2 == 0 ? k : members_ - 1 - k;
        Fiber& fiber = fibers_[std::size_t(m)];
        if (fiber.done) continue;
        current_ = m;
        enter(fiber);
      }
      int left = 0;
      for (const Fiber& fiber : fibers_) left += fiber.done ? 0 : 1;
      if (left != 0 && left != members_) {
        std::fprintf(stderr, "a kernel whose members do not all meet: %d of %d have left\n", members_ - left, members_);
        std::abort();
      }
      running = left;
    }
  }
  void meet() { leave(fibers_[std::size_t(current_)]); }
  int size() const { return members_; }
  std::byte* scratch(Index bytes) {
    if (Index(scratch_.size()) < bytes) scratch_.assign(std::size_t(bytes), std::byte{0xff});
    return scratch_.data();
  }
  const std::vector<std::byte>& memory() const { return scratch_; }
  /// A place of member m, for numbers of up to 16 bytes.
  void* exchange(int m) { return exchange_[std::size_t(m)].bytes; }

 private:
  static constexpr std::size_t kStack = std::size_t{256} << 10;
  struct Fiber {
    ucontext_t context{};
    void* jump[5];  // where it goes on
    std::unique_ptr<std::byte[]> stack;  // none: it has not begun
    bool done = true;
  };
  struct alignas(16) Place {
    std::byte bytes[16];
  };

  void start(int m) { fibers_[std::size_t(m)].done = false; }
  /// Runs a fiber until it leaves. Not swapcontext, which asks the kernel about signals both ways: a meeting is a few
  /// nanoseconds. AddressSanitizer, which wants to clean the stack before each jump, knows of one stack only.
  [[gnu::noinline, gnu::no_sanitize_address]] void enter(Fiber& fiber) {
    if (__builtin_setjmp(main_) != 0) return;
    if (fiber.stack) __builtin_longjmp(fiber.jump, 1);
    begin_on_a_stack(fiber);
  }
  [[gnu::noinline, gnu::no_sanitize_address]] void leave(Fiber& fiber) {
    if (__builtin_setjmp(fiber.jump) == 0) back();
  }
  [[gnu::noinline, gnu::no_sanitize_address, noreturn]] void back() { __builtin_longjmp(main_, 1); }
  [[gnu::noinline, gnu::no_sanitize_address]] void begin_on_a_stack(Fiber& fiber) {
    fiber.stack = std::make_unique<std::byte[]>(kStack);
    ::getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    self() = this;
    ::makecontext(&fiber.context, &Crew::begin, 0);
    ::setcontext(&fiber.context);
  }
  static Crew*& self() {
    thread_local Crew* crew = nullptr;
    return crew;
  }
  static void begin() {
    Crew& crew = *self();
    Fiber& fiber = crew.fibers_[std::size_t(crew.current_)];
    while (true) {  // one row after the other
      crew.call_(crew.work_, crew.current_);
      fiber.done = true;
      crew.leave(fiber);
    }
  }

  int members_, current_ = 0;
  void* main_[5];
  std::vector<Fiber> fibers_;
  std::vector<Place> exchange_;
  std::vector<std::byte> scratch_;
  void (*call_)(const void*, int) = nullptr;
  const void* work_ = nullptr;
};

/// A member's place in a crew.
struct FiberPlace {
  Crew* crew;
  int member;

  Index rank() const { return member; }
  Index size() const { return crew->size(); }
  void meet() const { crew->meet(); }
  std::byte* scratch(Index bytes) const { return crew->scratch(bytes); }
  template <class T, class Op>
  T reduce(T x, Op op) const {
    *static_cast<T*>(crew->exchange(member)) = x;
    meet();
    T all = *static_cast<const T*>(crew->exchange(0));
    for (int m = 1; m < crew->size(); ++m) all = op(all, *static_cast<const T*>(crew->exchange(m)));
    meet();
    return all;
  }
};
using FiberTeam = DeviceTeam<FiberPlace>;

/// kernel(team, i) by all members of a crew.
template <class Kernel>
void run_row(Crew& crew, const Kernel& kernel, Index i) {
  crew.run([&](int member) {
    FiberTeam team{{&crew, member}};
    kernel(team, i);
  });
}

}  // namespace espalier::test
