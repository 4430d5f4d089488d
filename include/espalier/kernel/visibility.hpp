// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/random.hpp>
#include <espalier/core/step.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

/// Heads side by side in a row; query head h reads key-value head group(h), a run of them the same one.
struct HeadLayout {
  Index batch, seq, heads, groups, width;  // width = head_dim
  /// Where query heads have left: their numbers among the `full` that there were, as many to each key-value head.
  const int* origin = nullptr;  // (heads), ascending
  Index full = 0;
  ESPALIER_FN Index group(Index h) const { return origin != nullptr ? origin[h] * groups / full : h / (heads / groups); }
  /// The first query head that reads g.
  ESPALIER_FN Index first(Index g) const {
    if (origin == nullptr) return g * (heads / groups);
    Index h = 0;
    while (h < heads && group(h) < g) ++h;
    return h;
  }

  /// A team works on `lanes` neighbouring positions side by side and meets the others in blocks, so that its scratch
  /// is a few tiles whatever the length of a sequence.
  static constexpr Index lanes = 32, block = 64;
  ESPALIER_FN Index tiles() const { return (seq + lanes - 1) / lanes; }
  /// Part h of `count` rows from `first`.
  template <class T>
  ESPALIER_FN View<T, 2> part(View<T, 2> x, Index first, Index count, Index h) const {
    return x.rows(first, count).cols(h * width, width);
  }
};

/// p∘keep / (1 − q) for the probabilities p of attention, keep drawn per (sequence, head of the *uncompacted* model, query,
/// key): nothing is stored, backward draws again.                                                Srivastava et al. 2014
struct AttentionDropout {
  double q = 0;
  std::uint32_t which = 0;           // the layer
  const StepState* state = nullptr;  // seed, step, micro-batch
  const int* origin = nullptr;       // number in the uncompacted model: of heads, or of `each` neighbours that leave together
  Index full = 0;                    // of those numbers in the uncompacted model
  Index each = 1;

  /// Rows and lanes are keys and queries, or the other way round.
  template <class Team, class A>
  ESPALIER_FN void apply(Team& team, Index b, Index h, Index seq, View<A, 2> x, Index row_at, Index lane_at,
                         bool rows_are_keys) const {
    const RandomStream stream{state->seed, Purpose::dropout, which, state->step};
    const Index was = origin[h / each] * each + h % each;
    const std::uint64_t head = ((std::uint64_t(state->micro) << 20) + std::uint64_t(b)) * std::uint64_t(full * each) + std::uint64_t(was);
    const std::uint64_t length = std::uint64_t(seq);
    const A scale = A(float(1 / (1 - q)));
    const auto threshold = std::uint32_t(q * 0x1p32);
    for (Index i = 0; i < x.rows(); ++i) {
      A* const xi = x.row(i);
      team.each(HeadLayout::lanes, [&](Index l) {
        const auto row = std::uint64_t(row_at + i), lane = std::uint64_t(lane_at + l);
        const std::uint64_t query = rows_are_keys ? lane : row, key = rows_are_keys ? row : lane;
        xi[l] = stream.bits((head * length + query) * length + key) >= threshold ? xi[l] * scale : A(0);
      });
    }
  }
};

/// Row by row through a tile whose lane l is at position `lane_at + l`: f(number, lane) where visible, 0 elsewhere.
struct CausalTile {
  Index rows, row_at, lane_at;
  bool rows_are_keys;

  /// The first lane (query) that sees key i.
  ESPALIER_FN Index from(Index i) const { return row_at + i > lane_at ? row_at + i - lane_at : 0; }

  template <class Team, class A, class F>
  ESPALIER_FN void each(Team& team, View<A, 2> x, F f) const {
    constexpr Index lanes = HeadLayout::lanes;
    for (Index i = 0; i < rows; ++i) {
      A* const xi = x.row(i);
      // Keys are seen by lanes (queries) at their position or later; queries see lanes (keys) up to their own.
      const Index at = row_at + i - lane_at;
      const Index from = rows_are_keys ? (at < 0 ? 0 : at) : 0;
      const Index to = rows_are_keys || at >= lanes - 1 ? lanes : at + 1;
      if (from == 0 && to == lanes) {
        team.each(lanes, [&](Index l) { xi[l] = f(i, xi[l], l); });
      } else {
        team.each(from, [&](Index l) { xi[l] = A(0); });
        team.each(to - from, [&](Index l) { xi[from + l] = f(i, xi[from + l], from + l); });
        team.each(lanes - to, [&](Index l) { xi[to + l] = A(0); });
      }
    }
  }
  /// Zeros where a query does not see a key.
  template <class Team, class A>
  ESPALIER_FN void blank(Team& team, View<A, 2> x) const {
    constexpr Index lanes = HeadLayout::lanes;
    for (Index i = 0; row_at + i < lane_at + lanes && i < rows; ++i)
      team.each(lanes - 1 - i, [&](Index l) { x.row(i)[i + 1 + l] = A(0); });
  }
};

/// A query sees the keys up to its own position.
struct Causal {
  AttentionDropout dropout = {};

  static constexpr bool hides = false;
  /// The keys that queries before `last` look at, [begin, end); the first of them is seen by all.
  ESPALIER_FN Index begin(Index, Index) const { return 0; }
  ESPALIER_FN Index end(Index, Index, Index last) const { return last; }
  ESPALIER_FN CausalTile keys(Index, Index, Index count, Index s0, Index t0) const { return {count, s0, t0, true}; }
  /// Who looks at the keys from s0.
  ESPALIER_FN Index first_query(Index s0) const { return s0; }
  ESPALIER_FN CausalTile queries(Index count, Index t0, Index s0) const { return {count, t0, s0, false}; }
  ESPALIER_FN bool seen(Index, Index, Index) const { return true; }
  /// What dropout does to probabilities, or to their gradients.
  template <class Team, class A>
  ESPALIER_FN void drop(Team& team, Index b, Index h, Index seq, View<A, 2> x, Index row_at, Index lane_at, bool rows_are_keys) const {
    if (dropout.q > 0) dropout.apply(team, b, h, seq, x, row_at, lane_at, rows_are_keys);
  }
};

/// As CausalTile, where a key is seen by every query or by none.
struct PaddingTile {
  Index rows;
  const int* visible;  // (rows) of keys; null: all

  ESPALIER_FN Index from(Index i) const { return visible == nullptr || visible[i] != 0 ? 0 : HeadLayout::lanes; }

  template <class Team, class A, class F>
  ESPALIER_FN void each(Team& team, View<A, 2> x, F f) const {
    for (Index i = 0; i < rows; ++i) {
      A* const xi = x.row(i);
      if (from(i) == 0) {
        team.each(HeadLayout::lanes, [&](Index l) { xi[l] = f(i, xi[l], l); });
      } else {
        team.each(HeadLayout::lanes, [&](Index l) { xi[l] = A(0); });
      }
    }
  }
  template <class Team, class A>
  ESPALIER_FN void blank(Team&, View<A, 2>) const {}
};

/// A query sees every key that is no padding, in both directions. A sequence may be all padding: nobody sees anything.
struct Padding {
  const int* visible = nullptr;  // (tokens)  0: padding; null: there is none
  AttentionDropout dropout = {};

  static constexpr bool hides = true;
  ESPALIER_FN bool seen(Index b, Index seq, Index s) const { return visible == nullptr || visible[b * seq + s] != 0; }
  ESPALIER_FN Index begin(Index b, Index seq) const {
    Index s = 0;
    while (s < seq && !seen(b, seq, s)) ++s;
    return s;
  }
  ESPALIER_FN Index end(Index b, Index seq, Index) const {
    Index s = seq;
    while (s > 0 && !seen(b, seq, s - 1)) --s;
    return s;
  }
  ESPALIER_FN PaddingTile keys(Index b, Index seq, Index count, Index s0, Index) const {
    return {count, visible == nullptr ? nullptr : visible + b * seq + s0};
  }
  ESPALIER_FN Index first_query(Index) const { return 0; }
  /// Keys are lanes here, each on its own: what has been computed of those that nobody sees is dropped in the end.
  ESPALIER_FN PaddingTile queries(Index count, Index, Index) const { return {count, nullptr}; }
  template <class Team, class A>
  ESPALIER_FN void drop(Team& team, Index b, Index h, Index seq, View<A, 2> x, Index row_at, Index lane_at,
                        bool rows_are_keys) const {
    if (dropout.q > 0) dropout.apply(team, b, h, seq, x, row_at, lane_at, rows_are_keys);
  }
};

}  // namespace espalier::inline v0::kernel
