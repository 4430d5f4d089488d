// SPDX-License-Identifier: MIT
#pragma once
// Every module × {no adapter, adapter, adapter with dropout} × {no mask, mask, straight-through mask}: what forward gives,
// and what backward adds.
#include <algorithm>
#include <cmath>
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/full.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/nn/block.hpp>
#include <espalier/nn/disentangled_attention.hpp>
#include <espalier/nn/fused_attention.hpp>
#include <espalier/nn/language_head.hpp>
#include <espalier/nn/layer_norm.hpp>
#include <espalier/nn/mlp.hpp>
#include <espalier/nn/post_norm_block.hpp>
#include <espalier/nn/self_attention.hpp>

#include "parity/case.hpp"

namespace espalier::test::parity {

/// Attention and blocks want angles: a module that makes its own.
template <class Device, class Inner>
struct Angled {
  struct Activations {
    typename Inner::Activations inner;
    RotaryAngles<Device> angles;
  };
  using T = typename Device::Activation;
  Inner inner;
  Rotary<Device> rotary;
  typename Device::template Buffer<int> position{};  // in documents, where there are several

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    act.angles = rotary.angles(pass, position.data());
    return inner.forward(pass, x, act.inner, act.angles);
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx) {
    inner.backward(pass, dy, act.inner, dx, act.angles);
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("inner", self.inner);
  }
};

/// Encoders' blocks want to know what is padding.
template <class Device, class Inner>
struct Padded {
  using Activations = typename Inner::Activations;
  using T = typename Device::Activation;
  Inner inner;
  typename Device::template Buffer<int> visible;

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    return inner.forward(pass, x, act, kernel::Padding{visible.data()});
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx) {
    inner.backward(pass, dy, act, dx, kernel::Padding{visible.data()});
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("inner", self.inner);
  }
};
/// Attention that knows positions wants embeddings of distances: trained numbers of its own.
template <class Device, class Inner>
struct Distanced {
  using Activations = typename Inner::Activations;
  using T = typename Device::Activation;
  static constexpr Index kReach = 64, kPositions = 9;
  Inner inner;
  typename Device::template Buffer<T> embeddings;      // (positions, hidden)
  typename Device::template Buffer<int> index, visible;  // of distances from −reach to reach; of tokens
  Index hidden;

  RelativeContext<Device> context() const {
    return {kernel::Padding{visible.data()}, matrix<const T>(embeddings.data(), kPositions, hidden), index.data() + kReach};
  }
  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const { return inner.forward(pass, x, act, context()); }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx) { inner.backward(pass, dy, act, dx, context()); }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("inner", self.inner);
  }
};
struct FusedNames {
  static constexpr const char *in = "in", *out = "out";
};
struct DistanceNames {
  static constexpr const char *query = "q", *key = "k", *value = "v", *out = "o", *position_key = "pk", *position_query = "pq";
};
struct EncoderNames {
  static constexpr const char *query = "q", *key = "k", *value = "v", *out = "o", *up = "up", *down = "down",
                              *attention = "attention", *middle_norm = "norm1", *feed_forward = "mlp", *output_norm = "norm2";
};

/// Forward, then backward onto a dx that is not zero.
template <class Device, class Make>
void module_case(Judge& judge, const std::string& name, Shape shape, Index in, bool training, const Make& make, double weights = 0.5) {
  using X = typename Device::Activation;
  using A = typename Device::Accumulate;
  run_case<Device>(judge, "modules/" + name, [&](Device& device, Thrice& thrice) {
    auto subject = make(device);  // nvcc takes a line that begins with module. for another thing
    ParameterArena<Device> arena;
    arena.bind(device, [&](auto&& f) { for_each_parameter(subject, [&](const auto&, auto& p) { f(p); }); });
    randomise(device, subject, 1, weights);
    const StepState step{.seed = 7, .step = 3};
    auto state = on_device(device, std::vector<StepState>{step});
    Workspace<Device> workspace(device);
    const auto x_host = activations<Device>(shape.tokens() * in, 91);
    thrice([&](Outputs& out) {
      device.for_each(arena.size(), kernel::Fill<A>{arena.grad(), A(0)});
      Pass<Device> pass(workspace, shape, state.data(), training);
      auto x = pass.matrix(shape.tokens(), in), dx = pass.matrix(shape.tokens(), in);
      put(device, x, x_host);
      put(device, dx, activations<Device>(dx.size(), 93, 0.1));
      typename decltype(subject)::Activations act{};
      const auto y = subject.forward(pass, x, act);
      out.near(device, "y", y);
      auto dy = pass.matrix(y.rows(), y.cols());
      put(device, dy, activations<Device>(dy.size(), 92));
      subject.backward(pass, View<const X, 2>(dy), act, dx);
      out.near(device, "dx", dx);
      for_each_parameter(subject, [&](const std::string& path, auto& p) { out.near(device, "gradient of " + path, p.grad); });
    });
  });
}

struct AdapterCase {
  const char* name;
  LowRankOptions options;
  bool training;
};
inline std::vector<AdapterCase> adapter_cases() {
  return {{"no adapter", {.targets = {"nothing"}}, false},
          {"adapter", {.rank = 3, .alpha = 6}, false},
          {"adapter with dropout", {.rank = 3, .alpha = 6, .dropout = 0.4}, true}};
}
struct MaskCase {
  const char* name;
  Index every;  // that many-th unit is off; 0: none
  bool straight_through;
};
inline constexpr MaskCase kMasks[] = {{"no mask", 0, false}, {"mask", 2, false}, {"straight-through mask", 2, true}};

template <class Device>
void set_mask(Device& device, UnitMask<Device>& units, const MaskCase& mask) {
  if (mask.every > 0) units.set(device, all_but_every(mask.every, units.units()), mask.straight_through);
}

template <class Device>
void linear_modules(Judge& judge) {
  module_case<Device>(judge, "RmsNorm", {2, 20}, 45, false, [](Device& device) { return RmsNorm<Device>(device, 45, 1e-3); });
  module_case<Device>(judge, "LayerNorm", {2, 20}, 45, false, [](Device& device) { return LayerNorm<Device>(device, 45, 1e-3); });
  module_case<Device>(judge, "Linear, trained in full", {2, 20}, 45, false, [](Device& device) {
    return Linear<Device, FullAdapter>(device, 45, 37, true, "p", {});
  });
  module_case<Device>(judge, "Linear, frozen", {2, 20}, 45, false, [](Device& device) {
    return Linear<Device, Frozen>(device, 45, 37, true, "p", {});
  });
  for (const bool straight_through : {false, true})
    module_case<Device>(judge, straight_through ? "Linear, straight-through mask on weights" : "Linear, mask on weights", {2, 20}, 45,
                        false, [&](Device& device) {
                          Linear<Device, LowRankAdapter> linear(device, 45, 37, true, "p", {.rank = 3, .alpha = 6});
                          linear.allow_weight_mask(device, "p");
                          std::vector<std::uint32_t> words;
                          for (Index i = 0; i < linear.weight_mask.bits().size(); ++i) words.push_back(0x9e3779b9u * std::uint32_t(i + 1));
                          linear.weight_mask.set(device, words);
                          linear.weight_mask.straight_through = straight_through;
                          return linear;
                        });
  for (const AdapterCase& a : adapter_cases())
    for (const bool bias : {false, true})
      module_case<Device>(judge, format("Linear, {}{}", a.name, bias ? ", bias" : ""), {2, 20}, 45, a.training, [&](Device& device) {
        return Linear<Device, LowRankAdapter>(device, 45, 37, bias, "p", a.options);
      });
}

template <class Device>
void attention_modules(Judge& judge) {
  struct Heads {
    const char* name;
    AttentionOptions options;
    Shape shape;
  };
  // Sequences below, across and beyond the tiles that attention works in.
  const Heads heads[] = {
      {"multi-head", {.hidden = 24, .heads = 4, .groups = 4, .head_dim = 6}, {2, 37}},
      {"grouped-query, biased", {.hidden = 20, .heads = 4, .groups = 2, .head_dim = 10, .qkv_bias = true, .out_bias = true}, {1, 70}},
      {"multi-query", {.hidden = 20, .heads = 3, .groups = 1, .head_dim = 8}, {3, 9}},
      {"norms on q and k", {.hidden = 24, .heads = 4, .groups = 2, .head_dim = 6, .qk_norm = true}, {2, 33}}};
  for (const Heads& h : heads)
    for (const AdapterCase& a : adapter_cases())
      for (const MaskCase& m : kMasks) {
        if (m.every > 0 && h.options.groups < 2) continue;
        if (a.training && m.every > 0) continue;
        module_case<Device>(judge, format("Attention, {}, {}, {}", h.name, a.name, m.name), h.shape, h.options.hidden, a.training,
                            [&](Device& device) {
                              Attention<Device, LowRankAdapter> attention(device, h.options, "a", a.options);
                              set_mask(device, attention.units, m);
                              return Angled<Device, Attention<Device, LowRankAdapter>>{
                                  std::move(attention), Rotary<Device>(device, h.options.head_dim, {})};
                            });
      }
  for (const Heads& h : heads)
    module_case<Device>(judge, format("Attention, {}, several documents", h.name), h.shape, h.options.hidden, false, [&](Device& device) {
      std::vector<int> position;
      for (Index t = 0; t < h.shape.tokens(); ++t)
        position.push_back(t % h.shape.seq == 0 || t % 41 == 3 || t % 41 == 4 ? 0 : position.back() + 1);
      return Angled<Device, Attention<Device, LowRankAdapter>>{
          Attention<Device, LowRankAdapter>(device, h.options, "a", {.rank = 3, .alpha = 6}),
          Rotary<Device>(device, h.options.head_dim, {}), on_device(device, position)};
    });
}

template <class Device>
void wide_modules(Judge& judge) {
  for (const AdapterCase& a : adapter_cases())
    for (const MaskCase& m : kMasks) {
      module_case<Device>(judge, format("GatedFeedForward, {}, {}", a.name, m.name), {2, 20}, 24, a.training, [&](Device& device) {
        GatedFeedForward<Device, LowRankAdapter> f(device, 24, 43, true, "f", a.options);
        set_mask(device, f.units, m);
        return f;
      });
      module_case<Device>(judge, format("DecoderBlock, {}, {}", a.name, m.name), {2, 20}, 24, a.training, [&](Device& device) {
        const BlockOptions o{.attention = {.hidden = 24, .heads = 4, .groups = 2, .head_dim = 6},
                             .feed_forward = 43,
                             .feed_forward_bias = true};
        DecoderBlock<Device, LowRankAdapter> block(device, o, "b", a.options);
        set_mask(device, block.self_attn.units, m), set_mask(device, block.mlp.units, m);
        return Angled<Device, DecoderBlock<Device, LowRankAdapter>>{std::move(block), Rotary<Device>(device, 6, {})};
      }, kCalm);
    }
}

/// Heads in thirds of one projection, and heads that know distances through maps which they share or have for themselves.
template <class Device>
void other_attention(Judge& judge) {
  using Fused = FusedAttention<Device, LowRankAdapter, FusedNames>;
  using Apart = DisentangledAttention<Device, LowRankAdapter, DistanceNames>;
  for (const AdapterCase& a : adapter_cases())
    for (const MaskCase& m : kMasks)
      module_case<Device>(judge, format("FusedAttention, {}, {}", a.name, m.name), {2, 37}, 24, a.training, [&](Device& device) {
        Fused attention(device, 24, 4, 6, 1 / std::sqrt(6.0), "a", a.options);
        attention.dropout = {a.training ? 0.25 : 0.0, 101};
        set_mask(device, attention.units, m);
        return attention;
      });
  // Beyond a tile; in bf16 few keys each, for with many the gradients of distances cancel down to their roundings.
  const Shape shape = precision_of<Device> == Precision::bf16 ? Shape{5, 9} : Shape{3, 37};
  std::vector<int> visible(std::size_t(shape.tokens()), 1), index;
  for (const Index t : {Index{5}, 3 * shape.seq - 3, 3 * shape.seq - 2, 3 * shape.seq - 1}) visible[std::size_t(t)] = 0;
  for (Index t = shape.tokens() - 3; t < shape.tokens(); ++t) visible[std::size_t(t)] = 0;
  for (Index d = -64; d <= 64; ++d) index.push_back(int(std::clamp<Index>(d, -4, 4) + 4));
  const auto embeddings = activations<Device>(9 * 24, 94, 1);  // distances that matter: else their gradients cancel
  for (const bool shared : {true, false})
    for (const AdapterCase& a : adapter_cases())
      for (const MaskCase& m : kMasks) {
        if (a.training && m.every > 0) continue;
        module_case<Device>(judge, format("DisentangledAttention, {} maps, {}, {}", shared ? "shared" : "own", a.name, m.name), shape, 24, a.training,
                            [&](Device& device) {
                              Apart attention(device, {.hidden = 24, .heads = 4, .head_dim = 6, .shared = shared}, "a", a.options);
                              attention.dropout = {a.training ? 0.25 : 0.0, 101};
                              attention.position_dropout = {a.training ? 0.25 : 0.0, 102};
                              set_mask(device, attention.units, m);
                              return Distanced<Device, Apart>{std::move(attention), on_device(device, embeddings), on_device(device, index),
                                                              on_device(device, visible), 24};
                            });
      }
}

template <class Device>
void encoder_modules(Judge& judge) {
  using Block = PostNormBlock<Device, LayerNorm<Device>, SelfAttention<Device, LowRankAdapter, EncoderNames>,
                              Mlp<Device, LowRankAdapter, EncoderNames>, EncoderNames>;
  const Shape shape{3, 37};
  std::vector<int> visible(std::size_t(shape.tokens()), 1);  // a hole, padding behind, and a sequence of nothing else
  for (Index t = 0; t < shape.tokens(); ++t)
    if (t == 5 || (t >= 60 && t < 74) || t >= 74) visible[std::size_t(t)] = 0;
  for (const AdapterCase& a : adapter_cases())
    for (const MaskCase& m : kMasks)
      module_case<Device>(judge, format("PostNormBlock, {}, {}", a.name, m.name), shape, 24, a.training, [&](Device& device) {
        Block block({device, 24, 4, 6, true, "b", a.options}, {device, 24, 1e-5},
                    {device, 24, 43, ActivationFunction::gelu, "b", a.options}, {device, 24, 1e-5});
        block.attention.dropout = {a.training ? 0.25 : 0.0, 101}, block.output_dropout = {a.training ? 0.25 : 0.0, 102};
        set_mask(device, block.attention.units, m), set_mask(device, block.feed_forward.units, m);
        return Padded<Device, Block>{std::move(block), on_device(device, visible)};
      }, kCalm);
}

template <class Device>
void language_head(Judge& judge) {
  using X = typename Device::Activation;
  using W = typename Device::Weight;
  using A = typename Device::Accumulate;
  run_case<Device>(judge, "modules/language head", [](Device& device, Thrice& thrice) {
    const Index tokens = 300, hidden = 24, vocab = 45;  // more tokens than exist as logits at one time
    auto w = on_device(device, drawn<W>(vocab * hidden, 1));
    std::vector<int> wanted;
    for (Index t = 0; t < tokens; ++t) wanted.push_back(t % 7 == 3 ? kIgnore : int(t * 31 % vocab));
    auto targets = on_device(device, wanted);
    auto h = on_device(device, activations<Device>(tokens * hidden, 2, 1));
    typename Device::template Buffer<X> dh(device, tokens * hidden);
    typename Device::template Buffer<A> total(device, 1);
    const auto share = on_device(device, std::vector<double>{1.0 / 257});
    Workspace<Device> workspace(device);
    thrice([&](Outputs& out) {
      for (const bool backward : {false, true}) {
        Pass<Device> pass(workspace, {1, tokens});
        device.for_each(1, kernel::Fill<A>{total.data(), A(0)});
        language_loss<Device>(pass, matrix<const X>(h.data(), tokens, hidden), matrix<const W>(w.data(), vocab, hidden),
                              targets.data(), share.data(), total.data(), backward ? matrix(dh.data(), tokens, hidden) : View<X, 2>{});
        out.near(device, backward ? "loss" : "loss alone", vector(total.data(), 1));
      }
      out.near(device, "dh", matrix(dh.data(), tokens, hidden));
    });
  });
}

template <class Device>
void modules(Judge& judge) {
  linear_modules<Device>(judge);
  attention_modules<Device>(judge);
  wide_modules<Device>(judge);
  other_attention<Device>(judge);
  encoder_modules<Device>(judge);
  language_head<Device>(judge);
}

}  // namespace espalier::test::parity
