// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/random.hpp>
#include <espalier/core/view.hpp>

// From numbers per row or column to numbers per unit. A unit is what leaves the network together.
namespace espalier::inline v0::kernel {

// unit(u) = finish( Σ_j raw(u part + j), passes ), per unit.
template <class Finish, class A>
struct UnitSums {
  Finish finish;
  Index passes;          // backward passes that raw is the sum of
  Index part;            // numbers of a unit
  View<const A, 1> raw;  // (units * part)
  View<A, 1> unit;       // (units)

  ESPALIER_FN Index width() const { return part; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index u) const {
    const A sum = team.sum(part, [&](Index j) { return raw(u * part + j); });
    team.once([&] { unit(u) = finish.finish(sum, passes); });
  }
};

// total += x / (‖x∘M‖ + eps), or total += x when it is not to be normalised. One row.
template <class A>
struct AddNormalised {
  View<const A, 1> x;      // (units)
  View<const A, 1> alive;  // (units); no data: all
  bool normalise;
  A eps;
  View<A, 1> total;  // (units)

  ESPALIER_FN Index width() const { return x.shape[0]; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    using std::sqrt;
    A factor(1);
    if (normalise) {
      const auto seen = [&](Index u) { return alive ? x(u) * alive(u) : x(u); };
      // Divided by the largest first: squares of squares leave the range of float.
      const A top = team.max(x.shape[0], [&](Index u) {
        const A v = seen(u);
        return v < A(0) ? -v : v;
      });
      const auto share = [&](Index u) { return seen(u) / top * (seen(u) / top); };
      const A norm = top > A(0) ? top * sqrt(team.sum(x.shape[0], share)) : A(0);
      factor = norm + eps > A(0) ? A(1) / (norm + eps) : A(1);
    }
    team.each(x.shape[0], [&](Index u) { total(u) += x(u) * factor; });
  }
};

// running ← decay running + gain fresh, unless a number is not finite: then it stays, and is counted. One row.
template <class A>
struct Smooth {
  View<const A, 1> fresh;  // (units)
  A decay, gain;
  View<A, 1> running;  // (units)
  int* bad;            // [0]: this time, [1]: times since it was last looked at

  ESPALIER_FN Index width() const { return fresh.shape[0]; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    const int wrong = team.max(fresh.shape[0], [&](Index u) { return fresh(u) - fresh(u) == A(0) ? 0 : 1; });
    team.once([&] { bad[0] = wrong, bad[1] += wrong; });
    if (wrong) return;
    team.each(fresh.shape[0], [&](Index u) { running(u) = decay * running(u) + gain * fresh(u); });
  }
};

// unit(u) = a uniform number of the unit that was number origin(u) before any compaction.
template <class A>
struct RandomUnits {
  RandomStream stream;
  const int* origin;  // (units)
  A* unit;            // (units)
  ESPALIER_FN void operator()(Index u) const { unit[u] = A(stream.uniform(std::uint64_t(origin[u]))); }
};

}  // namespace espalier::inline v0::kernel
