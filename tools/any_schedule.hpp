// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/schedule.hpp>

namespace espalier::tool {

/// Cubic or linear, chosen when the program runs: one type, so that pruners do not multiply.
struct AnySchedule {
  double begin = 0, end = 0, sparsity = 0.5, initial = 0;
  bool linear = false;

  static AnySchedule over(Index steps, double sparsity, double warmup, double cooldown, bool linear) {
    const auto s = CubicSchedule::over(steps, sparsity, warmup, cooldown);
    return {s.begin, s.end, s.sparsity, s.initial, linear};
  }
  double operator()(Index t) const {
    return linear ? LinearSchedule{begin, end, sparsity, initial}(t) : CubicSchedule{begin, end, sparsity, initial}(t);
  }
  template <class F>
  void settings(F&& f) const {
    if (linear) {
      LinearSchedule{begin, end, sparsity, initial}.settings(f);
    } else {
      CubicSchedule{begin, end, sparsity, initial}.settings(f);
    }
  }
};

}  // namespace espalier::tool
