// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/view.hpp>
#include <espalier/kernel/math.hpp>

namespace espalier::inline v0::kernel {

/// Heads side by side in a row; query head h reads key-value head h / (heads / groups).
struct HeadLayout {
  Index batch, seq, heads, groups, width;  // width = head_dim
  ESPALIER_FN Index queries_per_group() const { return heads / groups; }

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

/// Row by row through a tile whose lane l is at position `lane_at + l`: f(number, lane) where visible, 0 elsewhere.
struct CausalTile {
  Index rows, row_at, lane_at;
  bool rows_are_keys;

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
};

// y_t = Σ_{s ≤ t} p_ts v_s,  p_t = softmax_s(scale q_t·k_s); nothing of size seq × seq is ever stored.
// A group whose mask is zero writes zeros and costs nothing, unless backward sees through the mask.
//                                                             Vaswani et al. 2017; Rabe & Staats 2021; Dao et al. 2022
template <class T, class A>
struct CausalAttention {
  HeadLayout at;
  A scale;
  View<const T, 2> q;           // (tokens, heads * width)
  View<const T, 2> k, v;        // (tokens, groups * width)
  View<const A, 1> mask, seen;  // (groups)  of forward and of backward
  View<T, 2> y;                 // (tokens, heads * width)
  View<A, 2> lse;               // (tokens, heads)  log Σ exp, kept for backward

  /// How many rows to launch: one a tile of queries.
  ESPALIER_FN Index rows() const { return at.batch * at.heads * at.tiles(); }

  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const {
    return (2 * at.width + HeadLayout::block + 4) * HeadLayout::lanes * Index(sizeof(A));
  }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    using std::log;
    constexpr Index lanes = HeadLayout::lanes, block = HeadLayout::block;
    const Index tile = n % at.tiles(), h = n / at.tiles() % at.heads, b = n / at.tiles() / at.heads;
    const Index g = h / at.queries_per_group(), d = at.width, first = b * at.seq, t0 = tile * lanes;
    const Index count = t0 + lanes < at.seq ? lanes : at.seq - t0;
    const auto out = at.part(y, first + t0, count, h);
    if (mask(g) == A(0) && seen(g) == A(0)) {
      for (Index i = 0; i < count; ++i) team.each(d, [&](Index j) { out.row(i)[j] = T(0.0f); });
      team.each(count, [&](Index l) { lse(first + t0 + l, h) = A(0); });
      return;
    }
    A* const memory = team.template scratch<A>(scratch_bytes());
    const auto qt = matrix(memory, d, lanes), yt = matrix(qt.row(d), d, lanes), p = matrix(yt.row(d), block, lanes);
    A *const top = p.row(block), *const next = top + lanes, *const shrink = next + lanes, *const total = shrink + lanes;
    team.copy(at.part(q, first + t0, count, h).t(), qt);
    for (Index s0 = 0; s0 < t0 + count; s0 += block) {
      const Index keys = s0 + block < t0 + count ? block : t0 + count - s0;
      const CausalTile visible{keys, s0, t0, true};
      team.multiply(at.part(k, first + s0, keys, g), View<const A, 2>(qt), A(0), p.rows(0, keys));
      team.each(lanes, [&](Index l) { next[l] = s0 == 0 ? p.data[l] : top[l]; });  // key 0 is seen by everybody
      for (Index i = 0; i < keys; ++i) {
        const A* const s = p.row(i);
        const Index from = s0 + i > t0 ? s0 + i - t0 : 0;
        team.each(lanes - from, [&](Index l) { next[from + l] = larger(next[from + l], s[from + l]); });
      }
      if (s0 == 0) {
        team.each(lanes, [&](Index l) { total[l] = A(0); });
      } else {
        team.each(lanes, [&](Index l) { total[l] *= shrink[l] = exp(scale * (top[l] - next[l])); });
        for (Index j = 0; j < d; ++j) team.each(lanes, [&](Index l) { yt.row(j)[l] *= shrink[l]; });
      }
      team.each(lanes, [&](Index l) { top[l] = next[l]; });
      visible.each(team, p, [&](Index, A s, Index l) {
        const A e = exp(scale * (s - top[l]));
        total[l] += e;
        return e;
      });
      team.multiply(at.part(v, first + s0, keys, g).t(), View<const A, 2>(p.rows(0, keys)), A(s0 == 0 ? 0.0f : 1.0f),
                    yt);
    }
    team.each(lanes, [&](Index l) { shrink[l] = mask(g) / total[l]; });
    for (Index j = 0; j < d; ++j) team.each(lanes, [&](Index l) { yt.row(j)[l] *= shrink[l]; });
    team.copy(View<const A, 2>(yt.cols(0, count).t()), out);
    team.each(count, [&](Index l) { lse(first + t0 + l, h) = scale * top[l] + log(total[l]); });
  }
};

}  // namespace espalier::inline v0::kernel
