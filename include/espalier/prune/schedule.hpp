// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>

namespace espalier::inline v0 {

/// s(t) = s_f + (s_i − s_f) (1 − (t − begin) / (end − begin))³ between begin and end, s_i before, s_f after.
///                                                                                                Zhu & Gupta 2017
/// t is the number of the step: 1 is the first. s is the share of the target that is spent.
struct CubicSchedule {
  double begin = 0, end = 0, sparsity = 0.5, initial = 0;

  /// Nothing during the first `warmup` of all steps, everything before the last `cooldown`: T steps, wT and T − cT.
  static CubicSchedule over(Index steps, double sparsity, double warmup = 0.1, double cooldown = 0.1) {
    return {warmup * double(steps), double(steps) - cooldown * double(steps), sparsity, 0};
  }
  double operator()(Index t) const {
    const double at = double(t);
    if (at <= begin) return at >= end ? sparsity : initial;
    if (at >= end) return sparsity;
    const double left = 1 - (at - begin) / (end - begin);
    return sparsity + (initial - sparsity) * left * left * left;
  }
  template <class F>
  void settings(F&& f) const {
    f("schedule", "cubic");
    f("begin", format("{}", begin));
    f("end", format("{}", end));
    f("sparsity", format("{}", sparsity));
    f("initial", format("{}", initial));
  }
};

/// s(t) = s_i + (s_f − s_i) (t − begin) / (end − begin) between begin and end, s_i before, s_f after.
struct LinearSchedule {
  double begin = 0, end = 0, sparsity = 0.5, initial = 0;

  static LinearSchedule over(Index steps, double sparsity, double warmup = 0.1, double cooldown = 0.1) {
    return {warmup * double(steps), double(steps) - cooldown * double(steps), sparsity, 0};
  }
  double operator()(Index t) const {
    const double at = double(t);
    if (at <= begin) return at >= end ? sparsity : initial;
    if (at >= end) return sparsity;
    return initial + (sparsity - initial) * (at - begin) / (end - begin);
  }
  template <class F>
  void settings(F&& f) const {
    f("schedule", "linear");
    f("begin", format("{}", begin));
    f("end", format("{}", end));
    f("sparsity", format("{}", sparsity));
    f("initial", format("{}", initial));
  }
};

}  // namespace espalier::inline v0
