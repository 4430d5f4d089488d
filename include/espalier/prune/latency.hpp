// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

struct LatencyOptions {
  double tolerance = 0.05;  ///< how far from what is asked for a measured latency may be, as a share of it
  Index runs = 21;          ///< behind a median
  Index warmup = 3;         ///< runs before them
  Index tries = 24;         ///< models measured before giving up
};

/// The median of how long run() takes by `clock`, a function that tells seconds.
template <class Run, class Clock>
double median_seconds(Run&& run, Clock&& clock, const LatencyOptions& o = {}) {
  std::vector<double> seconds;
  for (Index r = -o.warmup; r < o.runs; ++r) {
    const double begin = clock();
    run();
    if (const double s = clock() - begin; r >= 0) seconds.push_back(s);
  }
  std::sort(seconds.begin(), seconds.end());
  const std::size_t n = seconds.size();
  return n % 2 == 1 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2;
}

/// A budget that takes as long as was asked for.
struct LatencyFit {
  double left = 0;     ///< of the budget
  double seconds = 0;  ///< what a model with so much left was measured to take
  double dense = 0, least = 0;  ///< seconds of the dense model, and of the least one that the constraints allow
  Index measured = 0;  ///< models
};

/// How much of a budget may be left of a model that is to take `seconds`. A unit has no price in seconds: caches, threads
/// and vector widths see to that. So models of different size are cut to shape and measured, seconds_of(left), between
/// the least and the dense one; where to look next is where a straight line through the nearest two would have it.
/// Refused, with what was measured, when it is out of reach, or when no model comes within the tolerance, as on a
/// machine that is not quiet.
template <class Measure>
LatencyFit fit_latency(double seconds, double least, double dense, Measure&& seconds_of, const LatencyOptions& o = {}) {
  require(seconds > 0, "latency: a target of {} ms, expected more than 0", seconds * 1e3);
  require(o.runs >= 20, "latency: a median of {} runs, expected at least 20", o.runs);
  std::pair<double, double> low{least, seconds_of(least)}, high{dense, seconds_of(dense)};  // left, seconds
  LatencyFit best{dense, high.second, high.second, low.second, 2};
  const auto range = format("the dense model takes {} ms and the least one that these constraints allow {} ms",
                            high.second * 1e3, low.second * 1e3);
  require(seconds >= low.second * (1 - o.tolerance) && seconds <= high.second * (1 + o.tolerance),
          "latency: {} ms cannot be reached: {}; choose a target between", seconds * 1e3, range);
  const auto consider = [&](double left, double took) {
    if (std::abs(took - seconds) < std::abs(best.seconds - seconds)) best.left = left, best.seconds = took;
    return std::abs(took - seconds) <= o.tolerance / 2 * seconds;
  };
  if (consider(high.first, high.second) || consider(low.first, low.second)) return best;
  for (; best.measured < o.tries; ++best.measured) {
    const double rise = high.second - low.second;
    const double part = rise > 0 ? std::clamp((seconds - low.second) / rise, 0.1, 0.9) : 0.5;
    const double left = low.first + part * (high.first - low.first), took = seconds_of(left);
    if (consider(left, took)) {
      ++best.measured;
      return best;
    }
    (took < seconds ? low : high) = {left, took};
  }
  require(std::abs(best.seconds - seconds) <= o.tolerance * seconds,
          "latency: no model within {} % of {} ms among {} that were measured, the nearest took {} ms; {}; is the machine "
          "busy, or the smallest step too large?",
          100 * o.tolerance, seconds * 1e3, best.measured, best.seconds * 1e3, range);
  return best;
}

}  // namespace espalier::inline v0
