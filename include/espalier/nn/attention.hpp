// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/kernel/attention_backward.hpp>
#include <espalier/nn/dropout.hpp>
#include <espalier/nn/group.hpp>
#include <espalier/nn/rms_norm.hpp>
#include <espalier/nn/rotary.hpp>

namespace espalier::inline v0 {

/// What an attention layer looks like. Nothing is assumed: head_dim · heads need not be hidden.
struct AttentionOptions {
  Index hidden, heads, groups, head_dim;  ///< groups: key-value heads; heads (MHA) or 1 (MQA) or between (GQA)
  bool qkv_bias = false, out_bias = false;
  bool qk_norm = false;  ///< RMSNorm on every query and key head before rotation (Qwen3)
  double eps = 1e-6;
};

/// y = o( causal_attention(rotate(q(x)), rotate(k(x)), v(x)) ∘ M ),  M one bit a key-value group, or a query head.
///                                                              Vaswani et al. 2017; GQA: Ainslie et al. 2023
template <Backend Device, template <class> class Adapter>
class Attention {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  using Context = RotaryAngles<Device>;  ///< and documents, which queries do not look beyond
  struct Activations {
    typename Projection::Activations q, k, v, o;
    typename RmsNorm<Device>::Activations q_norm, k_norm;
    View<const T, 2> Q, K, V, y;  // rotated queries and keys, values, masked result
    View<const A, 2> lse;         // (tokens, heads)
  };

  Attention() = default;
  Attention(Device& device, const AttentionOptions& o, const std::string& path,
            const typename Projection::Options& adapter)
      : q_proj(device, o.hidden, o.heads * o.head_dim, o.qkv_bias, path + ".q_proj", adapter),
        k_proj(device, o.hidden, o.groups * o.head_dim, o.qkv_bias, path + ".k_proj", adapter),
        v_proj(device, o.hidden, o.groups * o.head_dim, o.qkv_bias, path + ".v_proj", adapter),
        o_proj(device, o.heads * o.head_dim, o.hidden, o.out_bias, path + ".o_proj", adapter),
        units(device, o.groups), head_dim_(o.head_dim) {
    require(o.heads % o.groups == 0, "{}: {} heads cannot share {} key-value heads evenly", path, o.heads, o.groups);
    if (o.qk_norm) q_norm = RmsNorm<Device>(device, o.head_dim, o.eps), k_norm = RmsNorm<Device>(device, o.head_dim, o.eps);
  }

  Index groups() const { return k_proj.out() / head_dim_; }
  Index heads() const { return q_proj.out() / head_dim_; }
  Index head_dim() const { return head_dim_; }

  /// Units are all there again.
  void prune_by(Device& device, Granularity granularity) {
    by_query_ = granularity == Granularity::queries;
    require(!by_query_ || heads() > groups(),
            "granularity queries: every query head has a key-value head of its own, which stays as long as one of its queries "
            "does, so that none can leave; prune by granularity groups");
    units = UnitMask<Device>(device, by_query_ ? heads() : groups());
  }

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act,
                     const RotaryAngles<Device>& angles, const OutputMask<A>& residual = {}) const {
    auto Q = q_proj.forward(pass, x, act.q, q_mask()), K = k_proj.forward(pass, x, act.k, kv_mask()),
         V = v_proj.forward(pass, x, act.v, kv_mask());
    if (normed()) {
      Q = normalise(pass, q_norm, Q, act.q_norm);
      K = normalise(pass, k_norm, K, act.k_norm);
    } else {
      act.q.y = {}, act.k.y = {};  // rotated in place below
    }
    rotate(pass, angles, +1, heads(), Q);
    rotate(pass, angles, +1, groups(), K);
    auto y = pass.matrix(x.rows(), Q.cols());
    auto lse = pass.template matrix<A>(x.rows(), heads());
    const kernel::CausalAttention<T, A> kernel{layout(pass),    scale(), Q,  K, V, units.forward(),
                                               units.backward(), y,       lse, sees(pass, angles)};
    pass.device.for_each_row(kernel.rows(), kernel);
    act.Q = Q, act.K = K, act.V = V, act.y = y, act.lse = lse;
    return o_proj.forward(pass, y, act.o, residual);
  }

  void backward(Pass<Device>& pass, View<const T, 2> dout, Activations& act, View<T, 2> dx,
                const RotaryAngles<Device>& angles, const OutputMask<A>& residual = {}) {
    auto scratch = pass.scratch();
    auto dy = scratch.zeros(act.Q.rows(), act.Q.cols());
    o_proj.backward(scratch, dout, act.o, dy, residual);
    auto dQ = scratch.matrix(act.Q.rows(), act.Q.cols());
    auto dK = scratch.matrix(act.K.rows(), act.K.cols()), dV = scratch.matrix(act.K.rows(), act.K.cols());
    auto delta = scratch.template matrix<A>(dy.rows(), heads());
    const kernel::CausalAttentionBackward<T, A> common{
        layout(pass), scale(), act.Q, act.K, act.V, units.forward(), units.backward(), act.y, act.lse, dy, dQ, dK, dV, delta,
        sees(pass, angles)};
    const kernel::AttentionBackwardQueries<T, A> queries{common};
    const kernel::AttentionBackwardKeys<T, A> keys{common};
    pass.device.for_each_row(queries.rows(), queries);
    pass.device.for_each_row(keys.rows(), keys);
    rotate(pass, angles, -1, heads(), dQ);
    rotate(pass, angles, -1, groups(), dK);
    if (normed()) {
      dQ = normalise_backward(scratch, q_norm, dQ, act.q_norm);
      dK = normalise_backward(scratch, k_norm, dK, act.k_norm);
    } else {
      if (q_proj.probe) act.q.y = unrotated(scratch, angles, heads(), act.Q);
      if (k_proj.probe) act.k.y = unrotated(scratch, angles, groups(), act.K);
    }
    q_proj.backward(scratch, dQ, act.q, dx, q_mask());
    k_proj.backward(scratch, dK, act.k, dx, kv_mask());
    v_proj.backward(scratch, dV, act.v, dx, kv_mask());
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("q_proj", self.q_proj);
    f("k_proj", self.k_proj);
    f("v_proj", self.v_proj);
    f("o_proj", self.o_proj);
    if (self.normed()) {
      f("q_norm", self.q_norm);
      f("k_norm", self.k_norm);
    }
  }

  template <class F>
  void projections(F&& f) const {
    f(q_proj), f(k_proj), f(v_proj), f(o_proj);
  }
  /// Who reads the residual stream with its columns, and who writes it with its rows.
  std::vector<Slice<Projection>> residual() {
    return {{&q_proj, Axis::columns, 1}, {&k_proj, Axis::columns, 1}, {&v_proj, Axis::columns, 1}, {&o_proj, Axis::rows, 1}};
  }
  /// A unit is a key-value head with all its query heads; or a query head, and key-value heads stay.
  Group<Device, Projection> group(Index layer) {
    if (by_query_) {
      Group<Device, Projection> queries{
          "queries", layer, &units, {{&q_proj, Axis::rows, head_dim_}, {&o_proj, Axis::columns, head_dim_}}};
      queries.parts = groups();
      return queries;
    }
    const Index wide = heads() / groups() * head_dim_;
    return {"heads", layer, &units,
            {{&q_proj, Axis::rows, wide}, {&k_proj, Axis::rows, head_dim_}, {&v_proj, Axis::rows, head_dim_},
             {&o_proj, Axis::columns, wide}}};
  }

  Projection q_proj, k_proj, v_proj, o_proj;
  RmsNorm<Device> q_norm, k_norm;  // over head_dim; empty unless qk_norm
  UnitMask<Device> units;          // key-value groups, or query heads
  Dropout<Device> dropout{};       // of probabilities

 private:
  bool normed() const { return !q_norm.weight.empty(); }
  OutputMask<A> q_mask() const { return units.outputs(heads() / units.units() * head_dim_); }
  OutputMask<A> kv_mask() const { return by_query_ ? OutputMask<A>{} : units.outputs(head_dim_); }
  kernel::Causal sees(const Pass<Device>& pass, const RotaryAngles<Device>& angles) const {
    if (!dropout.on(pass)) return {angles.position};
    return {angles.position,
            {dropout.p, dropout.stream, pass.state, units.origin_there(), units.full(), heads() / units.units()}};
  }
  A scale() const { return A(1 / std::sqrt(double(head_dim_))); }
  kernel::HeadLayout layout(const Pass<Device>& pass) const {
    if (!by_query_) return {pass.shape.batch, pass.shape.seq, heads(), groups(), head_dim_};
    return {pass.shape.batch, pass.shape.seq, heads(), groups(), head_dim_, units.origin_there(), units.full()};
  }
  void rotate(Pass<Device>& pass, const RotaryAngles<Device>& angles, double direction, Index n, View<T, 2> x) const {
    pass.device.for_each_row(x.rows(), kernel::Rotate<T, A>{angles.cosine, angles.sine, n, direction, x, angles.position});
  }
  View<const T, 2> unrotated(Pass<Device>& pass, const RotaryAngles<Device>& angles, Index n, View<const T, 2> x) const {
    auto y = pass.matrix(x.rows(), x.cols());
    pass.device.for_each(x.size(), kernel::Copy<T, T>{x.data, y.data});
    rotate(pass, angles, -1, n, y);
    return y;
  }
  /// The norm works on heads: (tokens, heads · head_dim) seen as (tokens · heads, head_dim).
  template <class U>
  View<U, 2> by_head(View<U, 2> x) const {
    return matrix(x.data, x.rows() * x.cols() / head_dim_, head_dim_);
  }
  View<T, 2> normalise(Pass<Device>& pass, const RmsNorm<Device>& norm, View<const T, 2> x,
                       typename RmsNorm<Device>::Activations& act) const {
    return matrix(norm.forward(pass, by_head(x), act).data, x.rows(), x.cols());
  }
  View<T, 2> normalise_backward(Pass<Device>& pass, const RmsNorm<Device>& norm, View<const T, 2> dy,
                                const typename RmsNorm<Device>::Activations& act) const {
    auto dx = pass.zeros(dy.rows(), dy.cols());
    norm.backward(pass, by_head(dy), act, by_head(dx));
    return dx;
  }

  Index head_dim_ = 0;
  bool by_query_ = false;
};

}  // namespace espalier::inline v0
