// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/attention_backward.hpp>

namespace espalier::inline v0::kernel {

// dκ_r = scale Σ_ts ds_ts q_t,  dρ_r = scale Σ_ts ds_ts k_s,  over the t, s with index(t − s) = r, for each sequence and head on
// its own: ds is made anew in tiles, after the pass over queries, which leaves delta behind.           He et al. 2020, eq. 4
template <class T, class A, class Sees>
struct AttentionBackwardPositions : AttentionBackward<T, A, Sees, RelativePositions<T>> {
  View<A, 2> dkey, dquery;  // (batch * positions, heads * width); overwritten; one without data is not wanted

  /// How many rows to launch: one a sequence and head.
  ESPALIER_FN Index rows() const { return this->at.batch * this->at.heads; }

  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const {
    return ((2 * this->at.width + 2 * HeadLayout::block + 2) * HeadLayout::lanes + RelativePositions<T>::numbers) * Index(sizeof(A));
  }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    constexpr Index lanes = HeadLayout::lanes, block = HeadLayout::block;
    const HeadLayout& o = this->at;
    const Index h = n % o.heads, b = n / o.heads, g = o.group(h), d = o.width, first = b * o.seq;
    const auto own = [&](View<A, 2> x) {
      return x ? o.part(x, b * (x.rows() / o.batch), x.rows() / o.batch, h) : x;
    };
    const auto key_out = own(dkey), query_out = own(dquery);
    for (Index r = 0; r < key_out.rows(); ++r) team.each(d, [&](Index j) { key_out.row(r)[j] = A(0); });
    for (Index r = 0; r < query_out.rows(); ++r) team.each(d, [&](Index j) { query_out.row(r)[j] = A(0); });
    if (this->seen(this->unit(h)) == A(0)) return;
    A* const memory = team.template scratch<A>(scratch_bytes());
    const auto qt = matrix(memory, d, lanes), dyt = matrix(qt.row(d), d, lanes);
    const auto p = matrix(dyt.row(d), block, lanes), dp = matrix(p.row(block), block, lanes);
    A *const log_sum = dp.row(block), *const mean = log_sum + lanes, *const aside = mean + lanes;
    for (Index t0 = 0; t0 < o.seq; t0 += lanes) {
      const Index count = t0 + lanes < o.seq ? lanes : o.seq - t0;
      const Index begin = this->sees.begin(b, o.seq, t0), end = this->sees.end(b, o.seq, t0 + count);
      team.copy(o.part(this->q, first + t0, count, h).t(), qt);
      team.copy(o.part(this->dy, first + t0, count, h).t(), dyt);
      team.each(lanes, [&](Index l) {
        log_sum[l] = l < count ? this->lse(first + t0 + l, h) : A(0);
        mean[l] = l < count ? this->delta(first + t0 + l, h) : A(0);
      });
      for (Index s0 = begin; s0 < end; s0 += block) {
        const Index keys = s0 + block < end ? block : end - s0;
        const TilePlace place{h, s0, t0, true};
        const auto ks = o.part(this->k, first + s0, keys, g);
        team.multiply(ks, View<const A, 2>(qt), A(0), p.rows(0, keys));
        this->positions.add(team, place, ks, View<const A, 2>(qt), p.rows(0, keys), aside);
        team.multiply(o.part(this->v, first + s0, keys, g), View<const A, 2>(dyt), A(0), dp.rows(0, keys));
        this->sees.drop(team, b, h, o.seq, dp.rows(0, keys), s0, t0, true);
        this->sees.keys(b, o.seq, keys, s0, t0).each(team, p, [&](Index i, A s, Index l) {
          return l < count ? this->scale * exp(this->scale * s - log_sum[l]) * (dp.row(i)[l] - mean[l]) : A(0);
        });
        const View<const A, 2> ds = p.rows(0, keys);
        const auto window = this->positions.window_of(place, keys);
        if (key_out)
          team.multiply(this->positions.by_lane(team, window, ds, aside), View<const A, 2>(qt.t()), A(1),
                        key_out.rows(window.first, window.count));
        if (query_out)
          team.multiply(this->positions.by_row(team, window, ds, aside).t(), ks, A(1), query_out.rows(window.first, window.count));
      }
    }
  }
};

// y(r, :) = Σ_b x(b rows + r, :), per row: what each sequence had to say of a position.
template <class T, class A>
struct SumSequences {
  View<const A, 2> x;  // (batch * rows, cols)
  Index batch;
  View<T, 2> y;  // (rows, cols)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    T* const yi = y.row(i);
    team.each(y.cols(), [&](Index j) {
      A sum(0);
      for (Index b = 0; b < batch; ++b) sum += x(b * y.rows() + i, j);
      yi[j] = T(sum);
    });
  }
};

}  // namespace espalier::inline v0::kernel
