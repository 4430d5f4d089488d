// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/nn/dropout.hpp>
#include <espalier/nn/group.hpp>
#include <espalier/nn/learns.hpp>
#include <espalier/nn/recompute.hpp>
#include <utility>

namespace espalier::inline v0 {

/// a = norm(x + attention(x)),  y = norm(a + feed_forward(a)), both branches through dropout.      Vaswani et al. 2017
///
/// Names says what checkpoints call the four: attention, middle_norm, feed_forward, output_norm.
template <Backend Device, class Norm, class Mixer, class FeedForward, class Names>
class PostNormBlock {
 public:
  using T = typename Device::Activation;
  using Projection = typename Mixer::Projection;
  using Context = typename Mixer::Context;  ///< what all blocks of a pass share
  struct Activations {
    View<const T, 2> x;  // (tokens, hidden)  all that is kept when the block is recomputed
    typename Mixer::Activations attention;
    typename FeedForward::Activations feed_forward;
    typename Norm::Activations middle_norm, output_norm;
  };

  PostNormBlock() = default;
  PostNormBlock(Mixer mixer, Norm middle, FeedForward wide, Norm output)
      : attention(std::move(mixer)), middle_norm(std::move(middle)), feed_forward(std::move(wide)),
        output_norm(std::move(output)) {}

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act, const Context& context) const {
    act.x = x;
    auto a = attention.forward(pass, x, act.attention, context);
    attention_dropout.apply(pass, a);
    pass.device.for_each(a.size(), kernel::Accumulate<T>{x.data, a.data});
    act.attention.o.y = {};  // overwritten in place
    const auto n = middle_norm.forward(pass, a, act.middle_norm);
    auto f = feed_forward.forward(pass, n, act.feed_forward);
    output_dropout.apply(pass, f);
    pass.device.for_each(f.size(), kernel::Accumulate<T>{n.data, f.data});
    act.feed_forward.down.y = {};
    return output_norm.forward(pass, f, act.output_norm);
  }

  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx, const Context& context) {
    auto scratch = pass.scratch();
    auto da = scratch.zeros(dy.rows(), dy.cols());  // of x + attention(x)
    {
      auto inner = scratch.scratch();
      auto df = inner.zeros(dy.rows(), dy.cols()), dn = inner.matrix(dy.rows(), dy.cols());
      output_norm.backward(inner, dy, act.output_norm, df);
      pass.device.for_each(dn.size(), kernel::Copy<T, T>{df.data, dn.data});
      output_dropout.apply(inner, df);
      feed_forward.backward(inner, df, act.feed_forward, dn);
      middle_norm.backward(inner, dn, act.middle_norm, da);
    }
    if (dx) pass.device.for_each(dx.size(), kernel::Accumulate<T>{da.data, dx.data});
    attention_dropout.apply(scratch, da);
    attention.backward(scratch, da, act.attention, dx, context);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(Names::attention, self.attention);
    f(Names::middle_norm, self.middle_norm);
    f(Names::feed_forward, self.feed_forward);
    f(Names::output_norm, self.output_norm);
  }
  /// Whether anything in here is trained, or watched by a probe.
  bool learns() const { return any_learns(attention, feed_forward); }
  template <class F>
  void groups(Index layer, F&& f) {
    f(attention.group(layer));
    f(feed_forward.group(layer));
  }

  Mixer attention;
  Norm middle_norm;
  FeedForward feed_forward;
  Norm output_norm;
  Dropout<Device> attention_dropout{}, output_dropout{};
};

}  // namespace espalier::inline v0
