// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/attention.hpp>

namespace espalier::inline v0::kernel {

// Given dy: p is recomputed from lse;  D_t = dy_t·y_t,  ds_ts = p_ts (dy_t·v_s − D_t);
// dq_t = scale Σ_s ds_ts k_s,  dk_s = scale Σ_t ds_ts q_t,  dv_s = Σ_t p_ts dy_t.             Dao et al. 2022, algorithm 4
// With dropout p'∘ stands for p in y and dv, and its gradient passes to dp: D and ds are as they are.
// Launched once over queries (dq) and once over keys (dk, dv), so that every output has one writer.
template <class T, class A, class Sees, class Positions = NoPositions>
struct AttentionBackward {
  HeadLayout at;
  A scale;
  View<const T, 2> q, k, v;     // as in forward
  View<const A, 1> mask, seen;  // (groups) or (heads)  of forward and of backward: ones where it is straight-through
  View<const T, 2> y;           // (tokens, heads * width)  as forward left it
  View<const A, 2> lse;         // (tokens, heads)
  View<const T, 2> dy;          // (tokens, heads * width), not yet masked
  View<T, 2> dq, dk, dv;        // shapes of q, k, v; overwritten
  View<A, 2> delta;             // (tokens, heads)  D
  Sees sees = {};
  Positions positions = {};

  ESPALIER_FN Index unit(Index h) const { return seen.shape[0] == at.heads ? h : at.group(h); }
  template <class Team>
  ESPALIER_FN void clear(Team& team, View<T, 2> x) const {
    for (Index i = 0; i < x.rows(); ++i) team.each(x.cols(), [&](Index j) { x.row(i)[j] = T(0.0f); });
  }
};

template <class T, class A>
using CausalAttentionBackward = AttentionBackward<T, A, Causal>;

template <class T, class A, class Sees = Causal, class Positions = NoPositions>
struct AttentionBackwardQueries : AttentionBackward<T, A, Sees, Positions> {
  /// How many rows to launch: one a tile of queries.
  ESPALIER_FN Index rows() const { return this->at.batch * this->at.heads * this->at.tiles(); }

  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const {
    return ((3 * this->at.width + 2 * HeadLayout::block + 2) * HeadLayout::lanes + Positions::numbers) * Index(sizeof(A));
  }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    constexpr Index lanes = HeadLayout::lanes, block = HeadLayout::block;
    const HeadLayout& o = this->at;
    const Index tile = n % o.tiles(), h = n / o.tiles() % o.heads, b = n / o.tiles() / o.heads;
    const Index g = o.group(h), u = this->unit(h), d = o.width, first = b * o.seq, t0 = tile * lanes;
    const Index count = t0 + lanes < o.seq ? lanes : o.seq - t0;
    const Index begin = this->sees.begin(b, o.seq, t0), end = this->sees.end(b, o.seq, t0 + count);
    const auto out = o.part(this->dq, first + t0, count, h);
    if (this->seen(u) == A(0) || begin >= end) {
      this->clear(team, out);
      team.each(count, [&](Index l) { this->delta(first + t0 + l, h) = A(0); });
      return;
    }
    A* const memory = team.template scratch<A>(scratch_bytes());
    const auto qt = matrix(memory, d, lanes), dyt = matrix(qt.row(d), d, lanes), dqt = matrix(dyt.row(d), d, lanes);
    const auto p = matrix(dqt.row(d), block, lanes), dp = matrix(p.row(block), block, lanes);
    A *const log_sum = dp.row(block), *const mean = log_sum + lanes, *const aside = mean + lanes;
    team.copy(o.part(this->q, first + t0, count, h).t(), qt);
    team.copy(o.part(this->dy, first + t0, count, h).t(), dyt);
    team.each(lanes, [&](Index l) {
      log_sum[l] = l < count ? this->lse(first + t0 + l, h) : A(0);
      mean[l] = A(0);
    });

    // p and dp of the keys from s0, zero where a query does not see a key.
    const auto look = [&](Index s0, Index keys, auto weigh) {
      const auto block_k = o.part(this->k, first + s0, keys, g);
      team.multiply(block_k, View<const A, 2>(qt), A(0), p.rows(0, keys));
      this->positions.add(team, {h, s0, t0, true}, block_k, View<const A, 2>(qt), p.rows(0, keys), aside);
      team.multiply(o.part(this->v, first + s0, keys, g), View<const A, 2>(dyt), A(0), dp.rows(0, keys));
      this->sees.drop(team, b, h, o.seq, dp.rows(0, keys), s0, t0, true);
      this->sees.keys(b, o.seq, keys, s0, t0).each(
          team, p, [&](Index i, A s, Index l) { return weigh(exp(this->scale * s - log_sum[l]), dp.row(i)[l], l); });
    };
    if (this->mask(u) != A(0)) {
      team.copy(o.part(this->y, first + t0, count, h).t(), dqt);
      for (Index j = 0; j < d; ++j) team.each(lanes, [&](Index l) { mean[l] += dyt.row(j)[l] * dqt.row(j)[l]; });
    } else {  // forward has zeroed y, but its gradient is wanted: D_t = Σ_s p_ts dp_ts
      for (Index s0 = begin; s0 < end; s0 += block)
        look(s0, s0 + block < end ? block : end - s0, [&](A probability, A slope, Index l) {
          mean[l] += probability * slope;
          return probability;
        });
    }
    team.each(count, [&](Index l) { this->delta(first + t0 + l, h) = mean[l]; });
    for (Index s0 = begin; s0 < end; s0 += block) {
      const Index keys = s0 + block < end ? block : end - s0;
      look(s0, keys, [&](A probability, A slope, Index l) { return probability * (slope - mean[l]); });
      team.multiply(o.part(this->k, first + s0, keys, g).t(), View<const A, 2>(p.rows(0, keys)),
                    A(s0 == begin ? 0.0f : 1.0f), dqt);
      this->positions.pull(team, {h, s0, t0, true}, View<const A, 2>(p.rows(0, keys)), dqt, aside);
    }
    for (Index j = 0; j < d; ++j) team.each(lanes, [&](Index l) { dqt.row(j)[l] *= this->scale; });
    team.copy(View<const A, 2>(dqt.cols(0, count).t()), out);
  }
};

template <class T, class A, class Sees = Causal, class Positions = NoPositions>
struct AttentionBackwardKeys : AttentionBackward<T, A, Sees, Positions> {
  /// How many rows to launch: one a tile of keys.
  ESPALIER_FN Index rows() const { return this->at.batch * this->at.groups * this->at.tiles(); }

  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const {
    return ((4 * this->at.width + 2 * HeadLayout::block) * HeadLayout::lanes + Positions::numbers) * Index(sizeof(A));
  }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    constexpr Index lanes = HeadLayout::lanes, block = HeadLayout::block;
    const HeadLayout& o = this->at;
    const Index tile = n % o.tiles(), g = n / o.tiles() % o.groups, b = n / o.tiles() / o.groups;
    const Index d = o.width, first = b * o.seq, s0 = tile * lanes;
    const Index count = s0 + lanes < o.seq ? lanes : o.seq - s0;
    const auto dk_out = o.part(this->dk, first + s0, count, g), dv_out = o.part(this->dv, first + s0, count, g);
    bool any = false;  // whether anybody sees one of the keys
    for (Index l = 0; l < count && !any; ++l) any = this->sees.seen(b, o.seq, s0 + l);
    Index h0 = o.first(g);  // the first head that is there
    const auto reads = [&](Index h) { return h < o.heads && o.group(h) == g; };
    while (reads(h0) && this->seen(this->unit(h0)) == A(0)) ++h0;
    if (!reads(h0) || !any) {
      this->clear(team, dk_out);
      this->clear(team, dv_out);
      return;
    }
    A* const memory = team.template scratch<A>(scratch_bytes());
    const auto kt = matrix(memory, d, lanes), vt = matrix(kt.row(d), d, lanes), dkt = matrix(vt.row(d), d, lanes),
               dvt = matrix(dkt.row(d), d, lanes), p = matrix(dvt.row(d), block, lanes),
               ds = matrix(p.row(block), block, lanes);
    A* const aside = ds.row(block);
    team.copy(o.part(this->k, first + s0, count, g).t(), kt);
    team.copy(o.part(this->v, first + s0, count, g).t(), vt);
    const Index begin = this->sees.first_query(s0), end = this->sees.end_query(b, o.seq, s0 + count);
    for (Index h = h0; reads(h); ++h) {
      if (this->seen(this->unit(h)) == A(0)) continue;
      for (Index t0 = begin; t0 < end; t0 += block) {
        const Index queries = t0 + block < end ? block : end - t0;
        const auto qs = o.part(this->q, first + t0, queries, h), dys = o.part(this->dy, first + t0, queries, h);
        const A beta(h == h0 && t0 == begin ? 0.0f : 1.0f);
        const auto visible = this->sees.queries(b, o.seq, queries, t0, s0);
        team.multiply(qs, View<const A, 2>(kt), A(0), p.rows(0, queries));
        this->positions.add(team, {h, t0, s0, false}, qs, View<const A, 2>(kt), p.rows(0, queries), aside);
        team.multiply(dys, View<const A, 2>(vt), A(0), ds.rows(0, queries));
        this->sees.drop(team, b, h, o.seq, ds.rows(0, queries), t0, s0, false);
        visible.each(team, p, [&](Index i, A s, Index l) {
          const A probability = exp(this->scale * s - this->lse(first + t0 + i, h));
          A& slope = ds.row(i)[l];
          slope = probability * (slope - this->delta(first + t0 + i, h));
          return probability;
        });
        visible.blank(team, ds.rows(0, queries));
        this->sees.drop(team, b, h, o.seq, p.rows(0, queries), t0, s0, false);
        team.multiply(dys.t(), View<const A, 2>(p.rows(0, queries)), beta, dvt);
        team.multiply(qs.t(), View<const A, 2>(ds.rows(0, queries)), beta, dkt);
        this->positions.pull(team, {h, t0, s0, false}, View<const A, 2>(ds.rows(0, queries)), dkt, aside);
      }
    }
    for (Index j = 0; j < d; ++j) team.each(lanes, [&](Index l) { dkt.row(j)[l] *= this->scale; });
    if constexpr (Sees::hides)
      for (Index j = 0; j < d; ++j)
        team.each(count, [&](Index l) {
          if (!this->sees.seen(b, o.seq, s0 + l)) dkt.row(j)[l] = dvt.row(j)[l] = A(0);
        });
    team.copy(View<const A, 2>(dkt.cols(0, count).t()), dk_out);
    team.copy(View<const A, 2>(dvt.cols(0, count).t()), dv_out);
  }
};

}  // namespace espalier::inline v0::kernel
