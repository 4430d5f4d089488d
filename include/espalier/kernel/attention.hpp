// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

/// Heads side by side in a row; query head h reads key-value head h / (heads / groups).
struct HeadLayout {
  Index batch, seq, heads, groups, width;  // width = head_dim
  ESPALIER_FN Index queries_per_group() const { return heads / groups; }
};

// y_t = Σ_{s ≤ t} p_ts v_s,  p_t = softmax_s(scale q_t·k_s); nothing of size seq × seq is ever stored.
// A group whose mask is zero writes zeros and costs nothing.              Vaswani et al. 2017; Rabe & Staats 2021
template <class T, class A>
struct CausalAttention {
  HeadLayout at;
  A scale;
  View<const T, 2> q;     // (tokens, heads * width)
  View<const T, 2> k, v;  // (tokens, groups * width)
  View<const A, 1> mask;  // (groups)
  View<T, 2> y;           // (tokens, heads * width)
  View<A, 2> lse;         // (tokens, heads)  log Σ exp, kept for backward

  /// How many rows to launch.
  ESPALIER_FN Index rows() const { return at.batch * at.heads * at.seq; }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    using std::exp;
    using std::log;
    const Index t = n % at.seq, h = n / at.seq % at.heads, b = n / at.seq / at.heads;
    const Index g = h / at.queries_per_group(), row = b * at.seq + t, first = b * at.seq, d = at.width;
    if (mask(g) == A(0)) {
      team.each(d, [&](Index j) { y(row, h * d + j) = T(0); });
      lse(row, h) = A(0);
      return;
    }
    const auto score = [&](Index s) {
      A dot(0);
      for (Index j = 0; j < d; ++j) dot += A(q(row, h * d + j)) * A(k(first + s, g * d + j));
      return dot * scale;
    };
    const A top = team.max(t + 1, score);
    const A total = team.sum(t + 1, [&](Index s) { return exp(score(s) - top); });
    const A l = top + log(total);
    for (Index j = 0; j < d; ++j) {
      const A sum = team.sum(t + 1, [&](Index s) { return exp(score(s) - l) * A(v(first + s, g * d + j)); });
      y(row, h * d + j) = T(sum * mask(g));
    }
    lse(row, h) = l;
  }
};

// Given dy: p is recomputed from lse;  D_t = dy_t·y_t,  ds_ts = p_ts (dy_t·v_s − D_t);
// dq_t = scale Σ_s ds_ts k_s,  dk_s = scale Σ_t ds_ts q_t,  dv_s = Σ_t p_ts dy_t.             Dao et al. 2022, algorithm 4
// Launched once over queries (dq) and once over keys (dk, dv), so that every output has one writer.
template <class T, class A>
struct CausalAttentionBackward {
  HeadLayout at;
  A scale;
  View<const T, 2> q, k, v;  // as in forward
  View<const A, 1> mask;     // (groups)  of backward: ones where it is straight-through
  View<const A, 2> lse;      // (tokens, heads)
  View<const T, 2> dy;       // (tokens, heads * width), not yet masked
  View<T, 2> dq, dk, dv;     // shapes of q, k, v; overwritten
  View<A, 2> delta;          // (tokens, heads)  D

  ESPALIER_FN A score(Index row, Index key, Index h, Index g) const {
    A dot(0);
    for (Index j = 0; j < at.width; ++j) dot += A(q(row, h * at.width + j)) * A(k(key, g * at.width + j));
    return dot * scale;
  }
  ESPALIER_FN A dp(Index row, Index key, Index h, Index g) const {
    A dot(0);
    for (Index j = 0; j < at.width; ++j) dot += A(dy(row, h * at.width + j)) * A(v(key, g * at.width + j));
    return dot;
  }
};

template <class T, class A>
struct AttentionBackwardQueries : CausalAttentionBackward<T, A> {
  ESPALIER_FN Index rows() const { return this->at.batch * this->at.heads * this->at.seq; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    using std::exp;
    const HeadLayout& o = this->at;
    const Index t = n % o.seq, h = n / o.seq % o.heads, b = n / o.seq / o.heads;
    const Index g = h / o.queries_per_group(), row = b * o.seq + t, first = b * o.seq, d = o.width;
    if (this->mask(g) == A(0)) {
      team.each(d, [&](Index j) { this->dq(row, h * d + j) = T(0); });
      this->delta(row, h) = A(0);
      return;
    }
    const A l = this->lse(row, h);
    const auto p = [&](Index s) { return exp(this->score(row, first + s, h, g) - l); };
    const A mean = team.sum(t + 1, [&](Index s) { return p(s) * this->dp(row, first + s, h, g); });
    this->delta(row, h) = mean;
    for (Index j = 0; j < d; ++j) {
      const A sum = team.sum(t + 1, [&](Index s) {
        return p(s) * (this->dp(row, first + s, h, g) - mean) * A(this->k(first + s, g * d + j));
      });
      this->dq(row, h * d + j) = T(this->scale * this->mask(g) * sum);
    }
  }
};

template <class T, class A>
struct AttentionBackwardKeys : CausalAttentionBackward<T, A> {
  ESPALIER_FN Index rows() const { return this->at.batch * this->at.groups * this->at.seq; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    using std::exp;
    const HeadLayout& o = this->at;
    const Index s = n % o.seq, g = n / o.seq % o.groups, b = n / o.seq / o.groups;
    const Index key = b * o.seq + s, d = o.width, per = o.queries_per_group(), later = o.seq - s;
    for (Index j = 0; j < d; ++j) {
      A key_sum(0), value_sum(0);
      if (this->mask(g) != A(0)) {
        for (Index h = g * per; h < (g + 1) * per; ++h) {
          const auto p = [&](Index i) { return exp(this->score(key + i, key, h, g) - this->lse(key + i, h)); };
          value_sum += team.sum(later, [&](Index i) { return p(i) * A(this->dy(key + i, h * d + j)); });
          key_sum += team.sum(later, [&](Index i) {
            return p(i) * (this->dp(key + i, key, h, g) - this->delta(key + i, h)) * A(this->q(key + i, h * d + j));
          });
        }
      }
      this->dk(key, g * d + j) = T(this->scale * this->mask(g) * key_sum);
      this->dv(key, g * d + j) = T(this->mask(g) * value_sum);
    }
  }
};

}  // namespace espalier::inline v0::kernel
