// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/kernel/math.hpp>
#include <espalier/kernel/relative_position.hpp>
#include <espalier/kernel/visibility.hpp>

namespace espalier::inline v0::kernel {

// y_t = Σ_s p_ts v_s,  p_t = softmax_s(scale q_t·k_s) over what t Sees; nothing of size seq × seq is ever stored.
// A head whose mask is zero writes zeros and costs nothing, unless backward sees through the mask; so does a query that
// sees nothing. Where something is known of positions, the score is more than q_t·k_s: see relative_position.hpp.
//                                                             Vaswani et al. 2017; Rabe & Staats 2021; Dao et al. 2022
template <class T, class A, class Sees, class Positions = NoPositions>
struct Attention {
  HeadLayout at;
  A scale;
  View<const T, 2> q;           // (tokens, heads * width)
  View<const T, 2> k, v;        // (tokens, groups * width)
  View<const A, 1> mask, seen;  // (groups) or (heads)  of forward and of backward
  View<T, 2> y;                 // (tokens, heads * width)
  View<A, 2> lse;               // (tokens, heads)  log Σ exp, kept for backward
  Sees sees = {};
  Positions positions = {};

  /// How many rows to launch: one a tile of queries.
  ESPALIER_FN Index rows() const { return at.batch * at.heads * at.tiles(); }
  ESPALIER_FN Index unit(Index h) const { return mask.shape[0] == at.heads ? h : at.group(h); }

  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const {
    return ((2 * at.width + HeadLayout::block + 4) * HeadLayout::lanes + Positions::numbers) * Index(sizeof(A));
  }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    using std::log;
    constexpr Index lanes = HeadLayout::lanes, block = HeadLayout::block;
    const Index tile = n % at.tiles(), h = n / at.tiles() % at.heads, b = n / at.tiles() / at.heads;
    const Index g = at.group(h), u = unit(h), d = at.width, first = b * at.seq, t0 = tile * lanes;
    const Index count = t0 + lanes < at.seq ? lanes : at.seq - t0;
    const auto out = at.part(y, first + t0, count, h);
    const Index begin = sees.begin(b, at.seq, t0), end = sees.end(b, at.seq, t0 + count);
    if ((mask(u) == A(0) && seen(u) == A(0)) || begin >= end) {
      for (Index i = 0; i < count; ++i) team.each(d, [&](Index j) { out.row(i)[j] = T(0.0f); });
      team.each(count, [&](Index l) { lse(first + t0 + l, h) = A(0); });
      return;
    }
    A* const memory = team.template scratch<A>(scratch_bytes());
    const auto qt = matrix(memory, d, lanes), yt = matrix(qt.row(d), d, lanes), p = matrix(yt.row(d), block, lanes);
    A *const top = p.row(block), *const next = top + lanes, *const shrink = next + lanes, *const total = shrink + lanes,
      *const aside = total + lanes;
    team.copy(at.part(q, first + t0, count, h).t(), qt);
    for (Index s0 = begin; s0 < end; s0 += block) {
      const Index keys = s0 + block < end ? block : end - s0;
      const auto visible = sees.keys(b, at.seq, keys, s0, t0);
      const auto block_k = at.part(k, first + s0, keys, g);
      team.multiply(block_k, View<const A, 2>(qt), A(0), p.rows(0, keys));
      positions.add(team, {h, s0, t0, true}, block_k, View<const A, 2>(qt), p.rows(0, keys), aside);
      const Index some = s0 == begin ? visible.visible(0).to : lanes;  // who see the first key; others' documents begin later
      team.each(lanes, [&](Index l) { next[l] = s0 != begin ? top[l] : l < some ? p.data[l] : A(0); });
      for (Index i = 0; i < keys; ++i) {
        const A* const s = p.row(i);
        const LaneRange seen_by = visible.visible(i);
        const Index from = seen_by.from, to = seen_by.to;
        if (visible.begins(i)) {
          team.each(to - from, [&](Index l) { next[from + l] = top[from + l] = s[from + l]; });
        } else {
          team.each(to - from, [&](Index l) { next[from + l] = larger(next[from + l], s[from + l]); });
        }
      }
      if (s0 == begin) {
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
      sees.drop(team, b, h, at.seq, p.rows(0, keys), s0, t0, true);
      team.multiply(at.part(v, first + s0, keys, g).t(), View<const A, 2>(p.rows(0, keys)), A(s0 == begin ? 0.0f : 1.0f),
                    yt);
    }
    team.each(lanes, [&](Index l) { shrink[l] = mask(u) / total[l]; });
    for (Index j = 0; j < d; ++j) team.each(lanes, [&](Index l) { yt.row(j)[l] *= shrink[l]; });
    team.copy(View<const A, 2>(yt.cols(0, count).t()), out);
    team.each(count, [&](Index l) { lse(first + t0 + l, h) = scale * top[l] + log(total[l]); });
  }
};

template <class T, class A>
using CausalAttention = Attention<T, A, Causal>;

}  // namespace espalier::inline v0::kernel
