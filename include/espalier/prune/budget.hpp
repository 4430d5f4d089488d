// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <espalier/core/config.hpp>
#include <vector>

namespace espalier::inline v0 {

/// Units that compete with each other: those of one layer, or of one kind in all layers.
struct Pool {
  Index units = 0;    ///< before pruning
  Index cost = 0;     ///< parameters that leave with one unit
  Index least = 1;    ///< units that stay in any case
  Index already = 0;  ///< units that have left and cannot return
  Index round = 1;    ///< the number kept is a multiple of this, or all

  /// How many may leave when about k should: within the floor, and a nearest multiple of `round` is kept.
  Index allowed(Index k) const {
    Index kept = std::max(least, units - k);
    if (round > 1 && kept < units) {
      const Index lower = kept / round * round, upper = lower + round;
      kept = lower < least || lower == 0 || upper - kept < kept - lower ? upper : lower;
    }
    return std::max(already, units - std::min(kept, units));
  }
  /// k = floor(n s + ½), or floor(n s).
  Index share(double s, bool whole = false) const {
    return allowed(Index(std::floor(double(units) * s + (whole ? 0.0 : 0.5 + 1e-9))));
  }
  /// The least number above k that may leave; k itself when there is none.
  Index after(Index k) const {
    const Index kept = units - k, next = round > 1 ? (kept - 1) / round * round : kept - 1;
    return next >= std::max<Index>(least, 1) ? units - next : k;
  }
  /// The greatest number below k that may leave; k itself when there is none.
  Index before(Index k) const {
    const Index kept = units - k, next = std::min(units, round > 1 ? (kept + round) / round * round : kept + 1);
    return units - next >= already ? units - next : k;
  }
  Index most() const {
    Index k = allowed(units), next = after(k);
    while (next != k) k = next, next = after(k);
    return k;
  }
};

inline Index cost_of(const std::vector<Pool>& pools, const std::vector<Index>& leaving) {
  Index total = 0;
  for (std::size_t p = 0; p < pools.size(); ++p) total += pools[p].cost * leaving[p];
  return total;
}

/// The largest equal share of all pools that costs no more than `parameters`, and then single steps, the coarse ones
/// first, until no step comes nearer: how many units leave each pool.
inline std::vector<Index> spend(const std::vector<Pool>& pools, Index parameters) {
  const auto at = [&](double share) {
    std::vector<Index> k;
    for (const Pool& p : pools) k.push_back(p.share(share));
    return k;
  };
  double low = 0, high = 1;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (cost_of(pools, at(middle)) <= parameters ? low : high) = middle;
  }
  std::vector<Index> k = at(low);
  const std::vector<Index> top = at(high);
  Index left = parameters - cost_of(pools, k);
  std::vector<std::size_t> order(pools.size());
  for (std::size_t p = 0; p < order.size(); ++p) order[p] = p;
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
    return pools[a].cost * pools[a].round > pools[b].cost * pools[b].round;
  });
  // What jumps together at this share, one pool at a time while it fits.
  for (const std::size_t p : order)
    if (const Index price = (top[p] - k[p]) * pools[p].cost; price > 0 && price <= left) k[p] = top[p], left -= price;
  const Index finest = order.empty() ? 0 : pools[order.back()].cost * pools[order.back()].round;
  // Then one unit at a time in turn; only the finest step may overshoot, to the nearest.
  for (bool moved = true; moved;) {
    moved = false;
    for (const std::size_t p : order) {
      const Index next = pools[p].after(k[p]), price = (next - k[p]) * pools[p].cost;
      if (price > 0 && price <= (price <= finest ? 2 * left : left))
        k[p] = next, left -= price, moved = true;
    }
  }
  // Still too little, and no fine step is left to take: one coarse step too many, and fine ones back.
  for (const std::size_t p : order)
    if (const Index price = (pools[p].after(k[p]) - k[p]) * pools[p].cost; price > 0 && left > 0) {
      std::vector<Index> other = k;
      Index over = price - left;
      other[p] = pools[p].after(k[p]);
      for (bool moved = true; moved;) {
        moved = false;
        for (auto q = order.rbegin(); q != order.rend(); ++q) {
          const Index back = pools[*q].before(other[*q]), refund = (other[*q] - back) * pools[*q].cost;
          if (*q != p && refund > 0 && refund <= 2 * over) other[*q] = back, over -= refund, moved = true;
        }
      }
      if (std::abs(over) < left) k = other, left = -over;
    }
  return k;
}

}  // namespace espalier::inline v0
