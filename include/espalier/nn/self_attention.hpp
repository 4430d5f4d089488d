// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/kernel/attention_backward.hpp>
#include <espalier/nn/dropout.hpp>
#include <espalier/nn/group.hpp>
#include <string>

namespace espalier::inline v0 {

/// y = out( attention(q(x), k(x), v(x)) ∘ M ),  every token sees every one that is no padding; M one bit a head.
///                                                                                              Vaswani et al. 2017
/// Names says what checkpoints call the four maps: query, key, value, out.
template <Backend Device, template <class> class Adapter, class Names>
class SelfAttention {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  using Context = kernel::Padding;  ///< which tokens are padding
  struct Activations {
    typename Projection::Activations q, k, v, o;
    View<const T, 2> Q, K, V, y;  // (tokens, heads head_dim)
    View<const A, 2> lse;         // (tokens, heads)
  };

  SelfAttention() = default;
  SelfAttention(Device& device, Index hidden, Index heads, Index head_dim, bool qkv_bias, const std::string& path,
                const typename Projection::Options& adapter)
      : query(device, hidden, heads * head_dim, qkv_bias, path + "." + Names::query, adapter),
        key(device, hidden, heads * head_dim, qkv_bias, path + "." + Names::key, adapter),
        value(device, hidden, heads * head_dim, qkv_bias, path + "." + Names::value, adapter),
        out(device, heads * head_dim, hidden, true, path + "." + Names::out, adapter),
        units(device, heads), head_dim_(head_dim) {}

  Index heads() const { return units.units(); }
  Index head_dim() const { return head_dim_; }

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act, const Context& sees = {},
                     const OutputMask<A>& residual = {}) const {
    act.Q = query.forward(pass, x, act.q, mask());
    act.K = key.forward(pass, x, act.k, mask());
    act.V = value.forward(pass, x, act.v, mask());
    auto y = pass.matrix(x.rows(), act.Q.cols());
    auto lse = pass.template matrix<A>(x.rows(), heads());
    const kernel::Attention<T, A, Context> kernel{layout(pass),     scale(), act.Q, act.K, act.V, units.forward(),
                                                  units.backward(), y,       lse,   dropping(pass, sees)};
    pass.device.for_each_row(kernel.rows(), kernel);
    act.y = y, act.lse = lse;
    return out.forward(pass, y, act.o, residual);
  }

  void backward(Pass<Device>& pass, View<const T, 2> dout, const Activations& act, View<T, 2> dx,
                const Context& sees = {}, const OutputMask<A>& residual = {}) {
    auto scratch = pass.scratch();
    auto dy = scratch.zeros(act.y.rows(), act.y.cols());
    out.backward(scratch, dout, act.o, dy, residual);
    auto dQ = scratch.matrix(dy.rows(), dy.cols()), dK = scratch.matrix(dy.rows(), dy.cols()),
         dV = scratch.matrix(dy.rows(), dy.cols());
    auto delta = scratch.template matrix<A>(dy.rows(), heads());
    const kernel::AttentionBackward<T, A, Context> common{
        layout(pass), scale(), act.Q, act.K, act.V, units.forward(), units.backward(), act.y, act.lse, dy, dQ, dK, dV,
        delta, dropping(pass, sees)};
    const kernel::AttentionBackwardQueries<T, A, Context> queries{common};
    const kernel::AttentionBackwardKeys<T, A, Context> keys{common};
    pass.device.for_each_row(queries.rows(), queries);
    pass.device.for_each_row(keys.rows(), keys);
    query.backward(scratch, dQ, act.q, dx, mask());
    key.backward(scratch, dK, act.k, dx, mask());
    value.backward(scratch, dV, act.v, dx, mask());
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(Names::query, self.query);
    f(Names::key, self.key);
    f(Names::value, self.value);
    f(Names::out, self.out);
  }

  template <class F>
  void projections(F&& f) const {
    f(query), f(key), f(value), f(out);
  }
  Group<Device, Projection> group(Index layer) {
    const Index d = head_dim_;
    return {"heads", layer, &units,
            {{&query, Axis::rows, d}, {&key, Axis::rows, d}, {&value, Axis::rows, d}, {&out, Axis::columns, d}}};
  }

  Projection query, key, value, out;
  UnitMask<Device> units;      // heads
  Dropout<Device> dropout{};   // of probabilities

 private:
  Context dropping(const Pass<Device>& pass, Context sees) const {
    if (dropout.on(pass)) sees.dropout = {dropout.p, dropout.stream, pass.state, units.origin_there(), units.full()};
    return sees;
  }
  OutputMask<A> mask() const { return units.outputs(head_dim_); }
  A scale() const { return A(1 / std::sqrt(double(head_dim_))); }
  kernel::HeadLayout layout(const Pass<Device>& pass) const {
    return {pass.shape.batch, pass.shape.seq, heads(), heads(), head_dim_};
  }

  Index head_dim_ = 0;
};

}  // namespace espalier::inline v0
