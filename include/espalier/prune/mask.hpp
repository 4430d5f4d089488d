// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/core/error.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/units.hpp>
#include <vector>

namespace espalier::inline v0 {

/// Keeps the units whose running score is highest:  Ḡ ← λ Ḡ + (1 − λ) G, from zero, without bias correction (which
/// would change no ranking).                                                                   LoRAPrune, eq. 11 and 12
struct EMAMask {
  double decay = 0.9;

  /// One step of the average on the device. bad: [0] whether a score was not finite and the step was skipped, [1] how
  /// often that happened.
  template <class Device, class A>
  void smooth(Device& device, View<const A, 1> fresh, View<A, 1> running, int* bad) const {
    device.for_each_row(1, kernel::Smooth<A>{fresh, A(decay), A(1) - A(decay), running, bad});
  }

  template <class F>
  void settings(F&& f) const {
    f("mask", "ema");
    f("decay", format("{}", decay));
  }
};

/// Keeps the units whose scores have added up highest:  S ← S + G, from zero. For scores that say how a sum changes.
struct SumMask {
  template <class Device, class A>
  void smooth(Device& device, View<const A, 1> fresh, View<A, 1> running, int* bad) const {
    device.for_each_row(1, kernel::Smooth<A>{fresh, A(1), A(1), running, bad});
  }

  template <class F>
  void settings(F&& f) const {
    f("mask", "sum");
  }
};

/// Bits that keep all but the k lowest of one group. Of equal scores the lower index leaves first, so that a mask is a
/// function of its scores alone; with `only_among`, who is out already leaves before anybody else.
inline std::vector<std::uint8_t> keep_all_but_lowest(const std::vector<double>& scores, Index k,
                                                     const std::vector<std::uint8_t>* only_among = nullptr) {
  const auto n = Index(scores.size());
  std::vector<int> order(scores.size());
  for (Index u = 0; u < n; ++u) order[std::size_t(u)] = int(u);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    const auto x = std::size_t(a), y = std::size_t(b);
    if (only_among != nullptr && (*only_among)[x] != (*only_among)[y]) return (*only_among)[x] == 0;
    return scores[x] != scores[y] ? scores[x] < scores[y] : a < b;
  });
  std::vector<std::uint8_t> keep(scores.size(), 1);
  for (Index i = 0; i < std::min(k, n); ++i) keep[std::size_t(order[std::size_t(i)])] = 0;
  return keep;
}

}  // namespace espalier::inline v0
