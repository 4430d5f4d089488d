// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/elementwise.hpp>
#include <espalier/nn/attention.hpp>
#include <espalier/nn/dropout.hpp>
#include <espalier/nn/feed_forward.hpp>
#include <espalier/nn/learns.hpp>
#include <utility>

namespace espalier::inline v0 {

struct BlockOptions {
  AttentionOptions attention;
  Index feed_forward;  ///< width of the feed-forward layer
  bool feed_forward_bias = false;
  double eps = 1e-6;
};

/// a = x + attention(norm(x)),  y = a + feed_forward(norm(a)), both branches through dropout where there is any.
///
/// Names says what checkpoints call the four: input_norm, attention, middle_norm, feed_forward.
template <Backend Device, class Norm, class Mixer, class FeedForward, class Names>
class PreNormBlock {
 public:
  using T = typename Device::Activation;
  using Projection = typename Mixer::Projection;
  using A = typename Device::Accumulate;
  using Context = typename Mixer::Context;  ///< what all blocks of a pass share
  struct Activations {
    View<const T, 2> x;  // (tokens, hidden)  all that is kept when the block is recomputed
    typename Norm::Activations input_norm, middle_norm;
    typename Mixer::Activations attention;
    typename FeedForward::Activations feed_forward;
  };

  PreNormBlock() = default;
  PreNormBlock(Norm input, Mixer attention, Norm middle, FeedForward feed_forward)
      : input_layernorm(std::move(input)), post_attention_layernorm(std::move(middle)), self_attn(std::move(attention)),
        mlp(std::move(feed_forward)) {}

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act,
                     const Context& context) const {
    act.x = x;
    const auto a = joined(pass, x, self_attn.forward(pass, input_layernorm.forward(pass, x, act.input_norm), act.attention,
                                                     context, residual), attention_dropout, act.attention.o.y);
    return joined(pass, a, mlp.forward(pass, post_attention_layernorm.forward(pass, a, act.middle_norm), act.feed_forward,
                                       residual), output_dropout, act.feed_forward.down.y);
  }

  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx,
                const Context& context) {
    auto scratch = pass.scratch();
    auto da = scratch.matrix(dy.rows(), dy.cols());
    pass.device.for_each(da.size(), kernel::Copy<T, T>{dy.data, da.data});
    {
      auto inner = scratch.scratch();
      auto dn = inner.zeros(dy.rows(), dy.cols());
      mlp.backward(inner, branched(inner, dy, output_dropout), act.feed_forward, dn, residual);
      post_attention_layernorm.backward(inner, dn, act.middle_norm, da);
    }
    auto dn = dx ? scratch.zeros(dy.rows(), dy.cols()) : View<T, 2>{};
    self_attn.backward(scratch, branched(scratch, View<const T, 2>(da), attention_dropout), act.attention, dn, context, residual);
    if (!dx) return;
    input_layernorm.backward(scratch, dn, act.input_norm, dx);
    pass.device.for_each(dx.size(), kernel::Accumulate<T>{da.data, dx.data});
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(Names::input_norm, self.input_layernorm);
    f(Names::attention, self.self_attn);
    f(Names::middle_norm, self.post_attention_layernorm);
    f(Names::feed_forward, self.mlp);
  }
  /// Whether anything in here is trained, or watched by a probe.
  bool learns() const { return any_learns(self_attn, mlp); }
  void prune_by(Device& device, Granularity granularity) {
    if constexpr (requires { self_attn.prune_by(device, granularity); })
      self_attn.prune_by(device, granularity);
    else
      require(granularity != Granularity::queries,
              "granularity queries: heads of this model do not share keys and values; prune by granularity groups");
  }
  /// f(norm) for those that are as wide as the residual stream.
  template <class F>
  void norms(F&& f) {
    f(input_layernorm), f(post_attention_layernorm);
  }
  template <class F>
  void groups(Index layer, F&& f) {
    f(self_attn.group(layer));
    f(mlp.group(layer));
  }

  Norm input_layernorm, post_attention_layernorm;
  Mixer self_attn;
  FeedForward mlp;
  Dropout<Device> attention_dropout{}, output_dropout{};  ///< of what the branches add
  OutputMask<A> residual{};  ///< on what both branches add: of a layer that leaves, or of channels of the residual stream

 private:
  /// x + y∘M, y through dropout. own: the branch's output where it is kept for backward, which adding in place takes away.
  View<T, 2> joined(Pass<Device>& pass, View<const T, 2> x, View<T, 2> y, const Dropout<Device>& dropout, View<const T, 2>& own) const {
    if (!residual) {
      dropout.apply(pass, y);
      pass.device.for_each(y.size(), kernel::Accumulate<T>{x.data, y.data});
      own = {};
      return y;
    }
    auto sum = pass.matrix(x.rows(), x.cols());
    auto scratch = pass.scratch();
    pass.device.for_each_row(x.rows(), kernel::AddMasked<T, A>{x, dropout.dropped(scratch, y), residual.forward, residual.width, sum});
    return sum;
  }
  View<const T, 2> branched(Pass<Device>& pass, View<const T, 2> dy, const Dropout<Device>& dropout) const {
    if (!residual) return dropout.dropped(pass, dy);
    auto d = pass.matrix(dy.rows(), dy.cols());
    pass.device.for_each_row(dy.rows(), kernel::MaskOutputs<T, A>{dy, residual.backward, residual.width, d});
    dropout.apply(pass, d);
    return d;
  }
};

struct DecoderNames {
  static constexpr const char *input_norm = "input_layernorm", *attention = "self_attn",
                              *middle_norm = "post_attention_layernorm", *feed_forward = "mlp";
};

/// The block of the Llama family.
template <Backend Device, template <class> class Adapter>
struct DecoderBlock : PreNormBlock<Device, RmsNorm<Device>, Attention<Device, Adapter>, GatedFeedForward<Device, Adapter>,
                                   DecoderNames> {
  using Projection = Linear<Device, Adapter>;
  DecoderBlock() = default;
  DecoderBlock(Device& device, const BlockOptions& o, const std::string& path,
               const typename Projection::Options& adapter)
      : DecoderBlock::PreNormBlock(
            RmsNorm<Device>(device, o.attention.hidden, o.eps),
            Attention<Device, Adapter>(device, o.attention, path + ".self_attn", adapter),
            RmsNorm<Device>(device, o.attention.hidden, o.eps),
            GatedFeedForward<Device, Adapter>(device, o.attention.hidden, o.feed_forward, o.feed_forward_bias,
                                              path + ".mlp", adapter)) {}
};

}  // namespace espalier::inline v0
