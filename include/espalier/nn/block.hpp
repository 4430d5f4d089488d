// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/nn/attention.hpp>
#include <espalier/nn/feed_forward.hpp>

namespace espalier::inline v0 {

struct BlockOptions {
  AttentionOptions attention;
  Index feed_forward;  ///< width of the feed-forward layer
  bool feed_forward_bias = false;
  double eps = 1e-6;
};

/// a = x + attention(norm(x)),  y = a + feed_forward(norm(a)).
template <Backend Device, template <class> class Adapter>
class DecoderBlock {
 public:
  using T = typename Device::Activation;
  using Projection = Linear<Device, Adapter>;
  struct Activations {
    View<const T, 2> x;  // (tokens, hidden)  all that is kept when the block is recomputed
    typename RmsNorm<Device>::Activations input_norm, middle_norm;
    typename Attention<Device, Adapter>::Activations attention;
    typename GatedFeedForward<Device, Adapter>::Activations feed_forward;
  };

  DecoderBlock() = default;
  DecoderBlock(Device& device, const BlockOptions& o, const std::string& path,
               const typename Projection::Options& adapter)
      : input_layernorm(device, o.attention.hidden, o.eps), post_attention_layernorm(device, o.attention.hidden, o.eps),
        self_attn(device, o.attention, path + ".self_attn", adapter),
        mlp(device, o.attention.hidden, o.feed_forward, o.feed_forward_bias, path + ".mlp", adapter) {}

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act,
                     const RotaryAngles<Device>& angles) const {
    act.x = x;
    auto a = self_attn.forward(pass, input_layernorm.forward(pass, x, act.input_norm), act.attention, angles);
    pass.device.for_each(a.size(), kernel::Accumulate<T>{x.data, a.data});
    act.attention.o.y = {};  // overwritten in place
    auto y = mlp.forward(pass, post_attention_layernorm.forward(pass, a, act.middle_norm), act.feed_forward);
    pass.device.for_each(y.size(), kernel::Accumulate<T>{a.data, y.data});
    act.feed_forward.down.y = {};
    return y;
  }

  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx,
                const RotaryAngles<Device>& angles) {
    auto scratch = pass.scratch();
    auto da = scratch.matrix(dy.rows(), dy.cols());
    pass.device.for_each(da.size(), kernel::Copy<T, T>{dy.data, da.data});
    {
      auto inner = scratch.scratch();
      auto dn = inner.zeros(dy.rows(), dy.cols());
      mlp.backward(inner, dy, act.feed_forward, dn);
      post_attention_layernorm.backward(inner, dn, act.middle_norm, da);
    }
    auto dn = dx ? scratch.zeros(dy.rows(), dy.cols()) : View<T, 2>{};
    self_attn.backward(scratch, da, act.attention, dn, angles);
    if (!dx) return;
    input_layernorm.backward(scratch, dn, act.input_norm, dx);
    pass.device.for_each(dx.size(), kernel::Accumulate<T>{da.data, dx.data});
  }

  /// Forward that keeps nothing but its input.                                                      Chen et al. 2016
  View<T, 2> forward_briefly(Pass<Device>& pass, View<const T, 2> x, Activations& act,
                             const RotaryAngles<Device>& angles) const {
    auto y = pass.matrix(x.rows(), x.cols());
    auto scratch = pass.scratch();
    const auto inner = forward(scratch, x, act, angles);
    pass.device.for_each(y.size(), kernel::Copy<T, T>{inner.data, y.data});
    return y;
  }
  /// Backward after forward_briefly: the block runs forward once more.
  void backward_briefly(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx,
                        const RotaryAngles<Device>& angles) {
    auto scratch = pass.scratch();
    forward(scratch, act.x, act, angles);
    backward(scratch, dy, act, dx, angles);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("input_layernorm", self.input_layernorm);
    f("self_attn", self.self_attn);
    f("post_attention_layernorm", self.post_attention_layernorm);
    f("mlp", self.mlp);
  }
  /// Whether anything in here is trained, or watched by a probe.
  bool learns() const {
    const auto& a = self_attn;
    const auto& m = mlp;
    for (const Projection* p : {&a.q_proj, &a.k_proj, &a.v_proj, &a.o_proj, &m.gate_proj, &m.up_proj, &m.down_proj})
      if (p->adapter.active() || p->probe) return true;
    return false;
  }
  template <class F>
  void groups(Index layer, F&& f) {
    f(self_attn.group(layer));
    f(mlp.group(layer));
  }

  RmsNorm<Device> input_layernorm, post_attention_layernorm;
  Attention<Device, Adapter> self_attn;
  GatedFeedForward<Device, Adapter> mlp;
};

}  // namespace espalier::inline v0
