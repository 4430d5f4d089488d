// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstring>
#include <list>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// Launches that are written down instead of done: of each its code and, as bytes, its operands. Lists of the same bytes
/// do the same, with what is behind their pointers by then: which is when one may be replayed for another.
template <class System>
class LaunchList {
 public:
  /// Bytes between operands are blank. Where a compiler cannot see to that, equal lists may look different, never the
  /// other way round.
#if __has_builtin(__builtin_clear_padding)
  static constexpr bool kExact = true;
  template <class Launch>
  static void blank(Launch& launch) {
    __builtin_clear_padding(&launch);
  }
#else
  static constexpr bool kExact = false;
  template <class Launch>
  static void blank(Launch&) {}
#endif

  /// launch(system) does it.
  template <class Launch>
  void add(Launch launch) {
    static_assert(std::is_trivially_copyable_v<Launch> && alignof(Launch) <= kAlign, "operands are bytes");
    blank(launch);
    const Head head{&run<Launch>, (sizeof(Head) + sizeof launch + kAlign - 1) / kAlign * kAlign};
    const std::size_t at = bytes_.size();
    bytes_.resize(at + head.size);
    std::memcpy(bytes_.data() + at, &head, sizeof head);
    std::memcpy(bytes_.data() + at + sizeof head, &launch, sizeof launch);
  }
  /// Does all of it, in order.
  void play(System& system) const {
    for (std::size_t at = 0; at < bytes_.size();) {
      Head head;
      std::memcpy(&head, bytes_.data() + at, sizeof head);
      head.run(system, bytes_.data() + at + sizeof head);
      at += head.size;
    }
  }
  void clear() { bytes_.clear(); }
  friend bool operator==(const LaunchList& a, const LaunchList& b) {
    return a.bytes_.size() == b.bytes_.size() &&
           (a.bytes_.empty() || std::memcmp(a.bytes_.data(), b.bytes_.data(), a.bytes_.size()) == 0);
  }

 private:
  static constexpr std::size_t kAlign = 16;
  struct Head {
    void (*run)(System&, const std::byte*);
    std::size_t size;  // of head and operands
  };
  static_assert(sizeof(Head) == kAlign);

  template <class Launch>
  static void run(System& system, const std::byte* operands) {
    (*std::launder(reinterpret_cast<const Launch*>(operands)))(system);
  }

  std::vector<std::byte> bytes_;
};

/// The lists that came last, and what a device has made of each: a Whole that it launches instead.
template <class System, class Whole>
class Recordings {
 public:
  struct Recording {
    LaunchList<System> list;
    long times = 0;  ///< that it came
    Whole whole{};
  };
  static constexpr std::size_t kMost = 32;

  /// Whether launches are being written down.
  bool open() const { return open_; }
  template <class Launch>
  void add(const Launch& launch) {
    list_.add(launch);
  }
  /// Writes down what f launches: the recording of that, as it was when it came before. What f throws passes.
  template <class F>
  Recording& write(F& f) {
    list_.clear();
    {
      const Opened opened(open_);
      f();
    }
    for (auto at = known_.begin(); at != known_.end(); ++at) {
      if (!(at->list == list_)) continue;
      known_.splice(known_.end(), known_, at);  // who came last leaves last
      ++known_.back().times;
      return known_.back();
    }
    if (known_.size() == kMost) known_.pop_front();
    known_.emplace_back();
    known_.back().list = std::exchange(list_, {});
    known_.back().times = 1;
    return known_.back();
  }

 private:
  struct Opened {
    bool& open;
    explicit Opened(bool& o) : open(o) { open = true; }
    ~Opened() { open = false; }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
  };

  LaunchList<System> list_;
  std::list<Recording> known_;
  bool open_ = false;
};

}  // namespace espalier::inline v0
