// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/error.hpp>
#include <espalier/kernel/units.hpp>
#include <espalier/kernel/weight_score.hpp>
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
  /// A number per weight: a function of the seed, the projection's number and the weight's place in it.
  template <class Device, class Projection>
  auto elements(Pass<Device>& pass, const Projection&, Index number) const {
    using A = typename Projection::A;
    return [&device = pass.device, stream = RandomStream{seed, Purpose::importance, std::uint32_t(number)}](
               Index first, View<A, 2> x) { device.for_each_row(x.rows(), kernel::RandomWeights<A>{stream, first, x}); };
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
