// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/core/config.hpp>

namespace espalier::inline v0 {

/// Steps that a pruner has taken, and on which of them it chooses: every so many while the schedule rises, where it ends, and
/// after that until nothing waits for a score that was not finite.
struct EventClock {
  Index step = 0;
  bool owed = false;  ///< something was skipped at the last event: the next step makes up for it

  /// The first step on which the schedule has ended.
  template <class Schedule>
  static Index last(const Schedule& schedule) {
    return std::max<Index>(1, Index(std::ceil(schedule.end - 1e-9)));
  }
  template <class Schedule>
  bool due(const Schedule& schedule, Index every, Index t) const {
    return owed || t == last(schedule) || (t < last(schedule) && t % every == 0 && schedule(t) > 0);
  }
};

}  // namespace espalier::inline v0
