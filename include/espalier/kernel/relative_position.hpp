// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/kernel/visibility.hpp>

// What scores know of where a query and a key stand: the last operand of attention.
namespace espalier::inline v0::kernel {

/// A tile of scores of head h: rows from `row_at` meet `HeadLayout::lanes` lanes from `lane_at`.
struct TilePlace {
  Index h, row_at, lane_at;
  bool rows_are_keys;
};

/// Nothing.
struct NoPositions {
  static constexpr Index numbers = 0;
  template <class Team, class T, class A>
  ESPALIER_FN void add(Team&, const TilePlace&, View<const T, 2>, View<const A, 2>, View<A, 2>, A*) const {}
  template <class Team, class A>
  ESPALIER_FN void pull(Team&, const TilePlace&, View<const A, 2>, View<A, 2>, A*) const {}
};

/// s_ts = q_t·k_s + q_t·κ_r + k_s·ρ_r,  r = index(t − s): what a query says to where a key stands, and a key to where a
/// query stands.                                                                                 He et al. 2020, eq. 4
///
/// The products with κ and ρ are made where a tile needs them, for the r that it meets: index never falls, so that they
/// lie side by side, and they are fewer than rows and lanes.
template <class T>
struct RelativePositions {
  Index width = 0;            // of a head
  View<const T, 2> key;       // κ  (positions, heads * width), or nothing
  View<const T, 2> query;     // ρ  (positions, heads * width), or nothing
  const int* index = nullptr;  // of distance 0: there are seq + lanes on both sides

  static constexpr Index lanes = HeadLayout::lanes, window = HeadLayout::block + lanes - 1;
  static constexpr Index numbers = window * HeadLayout::block;  // of scratch

  /// The positions of a tile.
  struct Window {
    Index first, count;
    const int* index;  // of row 0 and lane 0
    Index row, lane;   // what a step along either adds to the distance
    ESPALIER_FN Index at(Index i, Index l) const { return Index(index[i * row + l * lane]) - first; }
  };
  ESPALIER_FN Window window_of(const TilePlace& p, Index rows) const {
    const Index least = p.rows_are_keys ? p.lane_at - (p.row_at + rows - 1) : p.row_at - (p.lane_at + lanes - 1);
    const int* const from = index + least;
    const Index span = rows + lanes - 2, first = from[0];
    return p.rows_are_keys ? Window{first, from[span] - first + 1, from + (rows - 1), -1, 1}
                           : Window{first, from[span] - first + 1, from + (lanes - 1), 1, -1};
  }
  ESPALIER_FN View<const T, 2> part(View<const T, 2> x, const Window& w, Index h) const {
    return x.rows(w.first, w.count).cols(h * width, width);
  }
  /// What lanes, and what rows are multiplied with.
  ESPALIER_FN View<const T, 2> of_lanes(const TilePlace& p) const { return p.rows_are_keys ? key : query; }
  ESPALIER_FN View<const T, 2> of_rows(const TilePlace& p) const { return p.rows_are_keys ? query : key; }

  /// s += both products. x: (rows, width) as it is stored; y: (width, lanes).
  template <class Team, class A>
  ESPALIER_FN void add(Team& team, const TilePlace& place, View<const T, 2> x, View<const A, 2> y, View<A, 2> s, A* memory) const {
    if (!key && !query) return;
    const Window w = window_of(place, s.rows());
    if (const auto r = of_lanes(place)) {
      const auto product = matrix(memory, w.count, lanes);
      team.multiply(part(r, w, place.h), y, A(0), product);
      for (Index i = 0; i < s.rows(); ++i)
        team.each(lanes, [&](Index l) { s.row(i)[l] += product.row(w.at(i, l))[l]; });
    }
    if (const auto r = of_rows(place)) {
      const auto product = matrix(memory, s.rows(), w.count);
      team.multiply(x, part(r, w, place.h).t(), A(0), product);
      for (Index i = 0; i < s.rows(); ++i)
        team.each(lanes, [&](Index l) { s.row(i)[l] += product.row(i)[w.at(i, l)]; });
    }
  }

  /// Sums over the rows of each lane, position by position: (window, lanes).
  template <class Team, class A>
  ESPALIER_FN View<const A, 2> by_lane(Team& team, const Window& w, View<const A, 2> ds, A* memory) const {
    const auto sums = matrix(memory, w.count, lanes);
    team.each(lanes, [&](Index l) {
      for (Index r = 0; r < w.count; ++r) sums.row(r)[l] = A(0);
      for (Index i = 0; i < ds.rows(); ++i) sums.row(w.at(i, l))[l] += ds.row(i)[l];
    });
    return sums;
  }
  /// Sums over the lanes of each row: (rows, window).
  template <class Team, class A>
  ESPALIER_FN View<const A, 2> by_row(Team& team, const Window& w, View<const A, 2> ds, A* memory) const {
    const auto sums = matrix(memory, ds.rows(), w.count);
    team.each(ds.rows(), [&](Index i) {
      A* const to = sums.row(i);
      for (Index r = 0; r < w.count; ++r) to[r] = A(0);
      for (Index l = 0; l < lanes; ++l) to[w.at(i, l)] += ds.row(i)[l];
    });
    return sums;
  }

  /// dy += what the scores' gradient means for lanes by way of positions.   ds: (rows, lanes), dy: (width, lanes)
  template <class Team, class A>
  ESPALIER_FN void pull(Team& team, const TilePlace& place, View<const A, 2> ds, View<A, 2> dy, A* memory) const {
    const auto r = of_lanes(place);
    if (!r) return;
    const Window w = window_of(place, ds.rows());
    team.multiply(part(r, w, place.h).t(), by_lane(team, w, ds, memory), A(1), dy);
  }
};

}  // namespace espalier::inline v0::kernel
