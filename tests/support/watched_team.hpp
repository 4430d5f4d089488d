// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <cstring>
#include <span>

#include "fiber_team.hpp"

namespace espalier::test {

/// Looks whether memory that all members see, and their scratch, is stored to between verbs: what only `each` and `once`
/// may do. Stores of equal numbers are found too, which change no result.
class Watch {
 public:
  Watch(const Crew& crew, std::vector<std::span<const std::byte>> shared) : crew_(crew), shared_(std::move(shared)) {}

  void leave_verb() { then_ = digest(); }
  void enter_verb() { broken_ = broken_ || digest() != then_; }
  bool broken() const { return broken_; }

 private:
  static std::uint64_t mix(std::uint64_t h, std::span<const std::byte> bytes) {
    std::size_t i = 0;
    for (std::uint64_t word; i + sizeof word <= bytes.size(); i += sizeof word) {
      std::memcpy(&word, bytes.data() + i, sizeof word);
      h = (h ^ word ^ (h >> 29)) * 0x9e3779b97f4a7c15ull;
    }
    for (; i < bytes.size(); ++i) h = (h ^ std::uint64_t(bytes[i])) * 0x9e3779b97f4a7c15ull;
    return h;
  }
  std::uint64_t digest() const {
    std::uint64_t h = mix(0, crew_.memory());
    for (const auto& part : shared_) h = mix(h, part);
    return h;
  }

  const Crew& crew_;
  std::vector<std::span<const std::byte>> shared_;
  std::uint64_t then_ = 0;
  bool broken_ = false;
};

struct WatchedTeam {
  FiberTeam team;
  Watch* watch;

  template <class F>
  void each(Index n, F f) const {
    verb([&] { team.each(n, f); });
  }
  template <class F>
  void once(F f) const {
    verb([&] { team.once(f); });
  }
  template <class F>
  auto sum(Index n, F f) const {
    decltype(team.sum(n, f)) all;
    verb([&] { all = team.sum(n, f); });
    return all;
  }
  template <class F>
  auto max(Index n, F f) const {
    decltype(team.max(n, f)) all;
    verb([&] { all = team.max(n, f); });
    return all;
  }
  template <class T>
  T* scratch(Index bytes) const {
    T* memory = nullptr;
    verb([&] { memory = team.scratch<T>(bytes); });
    return memory;
  }
  template <class T>
  void expect(const T*, Index) const {}
  template <class T, class U, class V>
  void multiply(View<const T, 2> a, View<const U, 2> b, V beta, View<V, 2> c) const {
    verb([&] { team.multiply(a, b, beta, c); });
  }
  template <class T, class F>
  void multiply_both(View<const T, 2> a, View<const T, 2> p, View<const T, 2> b, View<const T, 2> q, F f) const {
    verb([&] { team.multiply_both(a, p, b, q, f); });
  }
  template <class T, class V>
  void copy(View<T, 2> from, View<V, 2> to) const {
    verb([&] { team.copy(from, to); });
  }

 private:
  template <class F>
  void verb(const F& f) const {
    watch->enter_verb();
    f();
    watch->leave_verb();
  }
};

/// kernel(team, i) by all members of a crew, watched.
template <class Kernel>
void run_row(Crew& crew, Watch& watch, const Kernel& kernel, Index i) {
  crew.run([&](int member) {
    WatchedTeam team{{{&crew, member}}, &watch};
    watch.leave_verb();
    kernel(team, i);
    watch.enter_verb();
  });
}

}  // namespace espalier::test
