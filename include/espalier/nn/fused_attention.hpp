// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/kernel/attention_backward.hpp>
#include <espalier/nn/dropout.hpp>
#include <espalier/nn/group.hpp>
#include <string>

namespace espalier::inline v0 {

/// y = out( causal_attention(q, k, v) ∘ M ),  (q k v) = in(x) in one projection, M one bit a head.   Radford et al. 2019
///
/// Names says what checkpoints call the two projections: in, out.
template <Backend Device, template <class> class Adapter, class Names>
class FusedAttention {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  struct Context {
    const int* position = nullptr;  ///< (tokens)  in the document, where a sequence holds several: queries do not look beyond
  };
  struct Activations {
    typename Projection::Activations in, o;
    View<const T, 2> qkv, y;  // (tokens, 3 heads head_dim), (tokens, heads head_dim)
    View<const A, 2> lse;     // (tokens, heads)
  };

  FusedAttention() = default;
  FusedAttention(Device& device, Index hidden, Index heads, Index head_dim, double scale, const std::string& path,
                 const typename Projection::Options& adapter)
      : in(device, hidden, 3 * heads * head_dim, true, path + "." + Names::in, adapter),
        out(device, heads * head_dim, hidden, true, path + "." + Names::out, adapter),
        units(device, heads), head_dim_(head_dim), scale_(scale) {
    if constexpr (requires { Names::transposed; }) in.transposed = out.transposed = Names::transposed;
  }

  Index heads() const { return units.units(); }
  Index head_dim() const { return head_dim_; }

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act, const Context& context = {},
                     const OutputMask<A>& residual = {}) const {
    const View<const T, 2> qkv = in.forward(pass, x, act.in, units.outputs(head_dim_));
    auto y = pass.matrix(x.rows(), width());
    auto lse = pass.template matrix<A>(x.rows(), heads());
    const kernel::CausalAttention<T, A> kernel{layout(pass), A(scale_),       part(qkv, 0),     part(qkv, 1), part(qkv, 2),
                                               units.forward(), units.backward(), y, lse, sees(pass, context)};
    pass.device.for_each_row(kernel.rows(), kernel);
    act.qkv = qkv, act.y = y, act.lse = lse;
    return out.forward(pass, y, act.o, residual);
  }

  void backward(Pass<Device>& pass, View<const T, 2> dout, const Activations& act, View<T, 2> dx, const Context& context = {},
                const OutputMask<A>& residual = {}) {
    auto scratch = pass.scratch();
    auto dy = scratch.zeros(act.y.rows(), act.y.cols());
    out.backward(scratch, dout, act.o, dy, residual);
    auto d = scratch.matrix(act.qkv.rows(), act.qkv.cols());
    auto delta = scratch.template matrix<A>(dy.rows(), heads());
    const kernel::CausalAttentionBackward<T, A> common{
        layout(pass),    A(scale_),        part(act.qkv, 0), part(act.qkv, 1), part(act.qkv, 2), units.forward(),
        units.backward(), act.y, act.lse, dy, part(d, 0), part(d, 1), part(d, 2), delta, sees(pass, context)};
    const kernel::AttentionBackwardQueries<T, A> queries{common};
    const kernel::AttentionBackwardKeys<T, A> keys{common};
    pass.device.for_each_row(queries.rows(), queries);
    pass.device.for_each_row(keys.rows(), keys);
    in.backward(scratch, d, act.in, dx, units.outputs(head_dim_));
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(Names::in, self.in);
    f(Names::out, self.out);
  }

  template <class F>
  void projections(F&& f) const {
    f(in), f(out);
  }
  /// A unit is a head: its rows in each third of the fused projection.
  Group<Device, Projection> group(Index layer) {
    const Index d = head_dim_;
    return {"heads", layer, &units,
            {{&in, Axis::rows, d, 0}, {&in, Axis::rows, d, d}, {&in, Axis::rows, d, 2 * d}, {&out, Axis::columns, d}}};
  }

  Projection in, out;
  UnitMask<Device> units;     // heads
  Dropout<Device> dropout{};  // of probabilities

 private:
  kernel::Causal sees(const Pass<Device>& pass, const Context& context) const {
    if (!dropout.on(pass)) return {context.position};
    return {context.position, {dropout.p, dropout.stream, pass.state, units.origin_there(), units.full()}};
  }
  Index width() const { return heads() * head_dim_; }
  template <class U>
  View<U, 2> part(View<U, 2> qkv, Index n) const {
    return qkv.cols(n * width(), width());
  }
  kernel::HeadLayout layout(const Pass<Device>& pass) const {
    return {pass.shape.batch, pass.shape.seq, heads(), heads(), head_dim_};
  }

  Index head_dim_ = 0;
  double scale_ = 1;
};

}  // namespace espalier::inline v0
