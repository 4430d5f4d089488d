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

/// Of equal scores the lower index goes first, so that a mask is a function of its scores alone.
struct Unit {
  double score;
  Index group, index;
  bool gone;  ///< masked already, and not to return: it goes before anything else
};

inline bool leaves_before(const Unit& a, const Unit& b) {
  if (a.gone != b.gone) return a.gone;
  if (a.score != b.score) return a.score < b.score;
  return a.group != b.group ? a.group < b.group : a.index < b.index;
}

/// Bits that keep all but the k lowest of one group.
inline std::vector<std::uint8_t> keep_all_but_lowest(const std::vector<double>& scores, Index k,
                                                     const std::vector<std::uint8_t>* only_among = nullptr) {
  const Index n = Index(scores.size());
  std::vector<Unit> units;
  units.reserve(scores.size());
  for (Index u = 0; u < n; ++u)
    units.push_back({scores[std::size_t(u)], 0, u, only_among != nullptr && !(*only_among)[std::size_t(u)]});
  std::sort(units.begin(), units.end(), leaves_before);
  std::vector<std::uint8_t> keep(scores.size(), 1);
  for (Index i = 0; i < std::min(k, n); ++i) keep[std::size_t(units[std::size_t(i)].index)] = 0;
  return keep;
}

}  // namespace espalier::inline v0
