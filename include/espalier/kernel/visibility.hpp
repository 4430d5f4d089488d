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

/// Documents side by side in a sequence: a token's position counts from the first of its own document.
struct Documents {
  const int* position = nullptr;  // (seq); null: the sequence is one document
  Index seq = 0;

  ESPALIER_FN Index begin(Index t) const { return position == nullptr ? 0 : t - position[t]; }
  ESPALIER_FN bool begins(Index t) const { return position != nullptr && position[t] == 0; }
  /// The first token of [from, last) that belongs to a document behind that of t; last: there is none. No document begins
  /// before the one in front of it, so that halving finds it.
  ESPALIER_FN Index end(Index t, Index from, Index last) const {
    if (position == nullptr) return last;
    while (from < last) {
      const Index middle = from + (last - from) / 2;
      if (begin(middle) > t) last = middle;
      else from = middle + 1;
    }
    return last;
  }
};

/// Neighbouring lanes of a tile, [from, to).
struct LaneRange {
  Index from, to;
  ESPALIER_FN bool all() const { return from == 0 && to == HeadLayout::lanes; }
};

/// Row by row through a tile whose lane l is at position `lane_at + l`: f(number, lane) where visible, 0 elsewhere.
struct CausalTile {
  Index rows, row_at, lane_at;
  bool rows_are_keys;
  Documents documents = {};

  /// The lanes (queries) that see key i, those at its position or later; or the lanes (keys) that query i sees, up to its
  /// own: of one document both. Lanes beyond the sequence are what they are.
  ESPALIER_FN LaneRange visible(Index i) const {
    constexpr Index lanes = HeadLayout::lanes;
    const Index row = row_at + i, at = row - lane_at;
    if (rows_are_keys) {
      const Index from = at < 0 ? 0 : at;
      if (documents.position == nullptr) return {from, lanes};
      const Index last = lane_at + lanes < documents.seq ? lane_at + lanes : documents.seq;
      const Index end = documents.end(row, lane_at + from, last);
      return {from, end == last ? lanes : end - lane_at};
    }
    const Index before = documents.begin(row) - lane_at;
    return {before < 0 ? 0 : before < lanes ? before : lanes, at >= lanes - 1 ? lanes : at + 1};
  }
  /// Whether key i is the first that its lanes see, and not the first of the sequence's that anybody here does.
  ESPALIER_FN bool begins(Index i) const { return documents.begins(row_at + i); }

  template <class Team, class A, class F>
  ESPALIER_FN void each(Team& team, View<A, 2> x, F f) const {
    constexpr Index lanes = HeadLayout::lanes;
    for (Index i = 0; i < rows; ++i) {
      A* const xi = x.row(i);
      const LaneRange seen = visible(i);
      const Index from = seen.from, to = seen.to;
      if (seen.all()) {
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
    for (Index i = 0; i < rows; ++i) {
      const LaneRange seen = visible(i);
      const Index to = seen.to;
      if (seen.from > 0) team.each(seen.from, [&](Index l) { x.row(i)[l] = A(0); });
      if (to < HeadLayout::lanes) team.each(HeadLayout::lanes - to, [&](Index l) { x.row(i)[to + l] = A(0); });
    }
  }
};

/// A query sees the keys up to its own position, of its own document where a sequence holds several.
struct Causal {
  const int* position = nullptr;  // (tokens)  in the document; null: a sequence is one
  AttentionDropout dropout = {};

  static constexpr bool hides = false;
  ESPALIER_FN Documents documents(Index b, Index seq) const {
    return position == nullptr ? Documents{} : Documents{position + b * seq, seq};
  }
  /// The keys that queries [first, last) look at, [begin, end); the first of them is seen by query `first`, and each by some.
  ESPALIER_FN Index begin(Index b, Index seq, Index first) const { return documents(b, seq).begin(first); }
  ESPALIER_FN Index end(Index, Index, Index last) const { return last; }
  ESPALIER_FN CausalTile keys(Index b, Index seq, Index count, Index s0, Index t0) const {
    return {count, s0, t0, true, documents(b, seq)};
  }
  /// Who looks at the keys [first, last), [first_query, end_query).
  ESPALIER_FN Index first_query(Index first) const { return first; }
  ESPALIER_FN Index end_query(Index b, Index seq, Index last) const { return documents(b, seq).end(last - 1, last, seq); }
  ESPALIER_FN CausalTile queries(Index b, Index seq, Index count, Index t0, Index s0) const {
    return {count, t0, s0, false, documents(b, seq)};
  }
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
  const int* there;  // (rows) of keys; null: all

  ESPALIER_FN LaneRange visible(Index i) const {
    return {there == nullptr || there[i] != 0 ? 0 : HeadLayout::lanes, HeadLayout::lanes};
  }
  ESPALIER_FN bool begins(Index) const { return false; }

  template <class Team, class A, class F>
  ESPALIER_FN void each(Team& team, View<A, 2> x, F f) const {
    for (Index i = 0; i < rows; ++i) {
      A* const xi = x.row(i);
      if (visible(i).all()) {
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
  ESPALIER_FN Index begin(Index b, Index seq, Index) const {
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
  ESPALIER_FN Index end_query(Index, Index seq, Index) const { return seq; }
  /// Keys are lanes here, each on its own: what has been computed of those that nobody sees is dropped in the end.
  ESPALIER_FN PaddingTile queries(Index, Index, Index count, Index, Index) const { return {count, nullptr}; }
  template <class Team, class A>
  ESPALIER_FN void drop(Team& team, Index b, Index h, Index seq, View<A, 2> x, Index row_at, Index lane_at,
                        bool rows_are_keys) const {
    if (dropout.q > 0) dropout.apply(team, b, h, seq, x, row_at, lane_at, rows_are_keys);
  }
};

}  // namespace espalier::inline v0::kernel
