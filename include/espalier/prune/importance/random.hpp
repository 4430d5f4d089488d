// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/error.hpp>
#include <espalier/kernel/units.hpp>
#include <espalier/prune/importance.hpp>

namespace espalier::inline v0 {

/// A uniform number per unit, the same at every step: a function of the seed, the group and the unit's number before
/// any compaction. Every comparison of scores includes it.
struct RandomImportance {
  static constexpr Needs needs = Needs::nothing;

  std::uint64_t seed = 0;

  template <class Device, class Group, class A>
  void score_units(Pass<Device>& pass, const Group& group, Index number, const int* origin, View<A, 1> out) const {
    const RandomStream stream{seed, Purpose::importance, std::uint32_t(number)};
    pass.device.for_each(group.units(), kernel::RandomUnits<A>{stream, origin, out.data});
  }
  template <class A>
  ESPALIER_FN A finish(A sum, Index) const {
    return sum;
  }

  template <class F>
  void settings(F&& f) const {
    f("importance", "random");
    f("seed", format("{}", seed));
  }
};

}  // namespace espalier::inline v0
