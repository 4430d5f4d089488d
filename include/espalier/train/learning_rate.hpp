// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/config.hpp>
#include <numbers>

namespace espalier::inline v0 {

enum class RateShape { constant, linear, cosine };

/// rate(t) = peak (t + 1) / warmup                                                                       t < warmup
///         = peak (floor + (1 − floor) left),  p = (t − warmup) / (steps − warmup),                       otherwise
///           left: constant 1,  linear 1 − p,  cosine (1 + cos πp) / 2
/// t counts optimizer steps from 0. Other libraries start the warm-up at rate zero and waste the first step: here it is
/// one step ahead of theirs.
struct LearningRate {
  double peak = 1e-4;
  Index warmup = 0, steps = 0;  ///< steps: of the whole run
  RateShape shape = RateShape::constant;
  double floor = 0;  ///< share of the peak

  double operator()(Index t) const {
    if (t < warmup) return peak * double(t + 1) / double(warmup);
    if (shape == RateShape::constant) return peak;
    if (t >= steps) return peak * floor;
    const double p = double(t - warmup) / double(steps - warmup);
    const double left = shape == RateShape::linear ? 1 - p : 0.5 * (1 + std::cos(std::numbers::pi * p));
    return peak * (floor + (1 - floor) * left);
  }
};

}  // namespace espalier::inline v0
