// SPDX-License-Identifier: MIT
// Every module × {no adapter, adapter} × {no mask, mask}: backward against the complex step of forward.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/nn/block.hpp>
#include <espalier/nn/recompute.hpp>

#include "derivative.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr Shape kShape{2, 5};
const LowRankOptions kAdapter{.rank = 3, .alpha = 6};
const LowRankOptions kDropout{.rank = 3, .alpha = 6, .dropout = 0.4};

template <class Adapter>
typename Adapter::Options options() {
  if constexpr (requires(typename Adapter::Options o) { o.rank; }) {
    return kAdapter;
  } else {
    return {};
  }
}

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
  bool brief = false;
  const int* position = nullptr;

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    act.angles = rotary.angles(pass, position);
    if constexpr (requires { typename Inner::Context; act.inner.input_norm; })
      if (brief) return forward_briefly(inner, pass, View<const T, 2>(x), act.inner, act.angles);
    return inner.forward(pass, x, act.inner, act.angles);
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx) {
    if constexpr (requires { typename Inner::Context; act.inner.input_norm; })
      if (brief) return backward_briefly(inner, pass, View<const T, 2>(dy), act.inner, dx, act.angles);
    inner.backward(pass, dy, act.inner, dx, act.angles);
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("inner", self.inner);
  }
};

template <class Make>
void check(const Make& make, Index in, bool training = false) {
  expect_derivative(make, kShape, in, training);
}

struct AttentionCase {
  const char* name;
  AttentionOptions options;
};
const AttentionCase kAttention[] = {
    {"multi-head", {.hidden = 8, .heads = 2, .groups = 2, .head_dim = 4}},
    {"grouped-query", {.hidden = 8, .heads = 4, .groups = 2, .head_dim = 4}},
    {"multi-query", {.hidden = 8, .heads = 3, .groups = 1, .head_dim = 4}},
    {"biased, wide heads", {.hidden = 6, .heads = 4, .groups = 2, .head_dim = 6, .qkv_bias = true, .out_bias = true}},
    {"with q/k norm", {.hidden = 8, .heads = 4, .groups = 2, .head_dim = 4, .qk_norm = true}},
};

template <template <class> class Adapter>
auto make_linear(bool bias) {
  return [bias](auto& device) {
    using Device = std::remove_reference_t<decltype(device)>;
    return Linear<Device, Adapter>(device, 6, 4, bias, "p", options<Adapter<Device>>());
  };
}
template <template <class> class Adapter>
auto make_attention(const AttentionOptions& o, bool mask, const int* position = nullptr) {
  return [=](auto& device) {
    using Device = std::remove_reference_t<decltype(device)>;
    Attention<Device, Adapter> attention(device, o, "a", options<Adapter<Device>>());
    if (mask && o.groups > 1) attention.units.set(device, {1, 0});
    return Angled<Device, Attention<Device, Adapter>>{std::move(attention), Rotary<Device>(device, o.head_dim, {}), false, position};
  };
}
template <template <class> class Adapter>
auto make_feed_forward(bool bias, bool mask) {
  return [=](auto& device) {
    using Device = std::remove_reference_t<decltype(device)>;
    GatedFeedForward<Device, Adapter> f(device, 6, 5, bias, "f", options<Adapter<Device>>());
    if (mask) f.units.set(device, {1, 0, 1, 1, 0});
    return f;
  };
}
template <template <class> class Adapter>
auto make_block(bool mask, bool brief) {
  return [=](auto& device) {
    using Device = std::remove_reference_t<decltype(device)>;
    const BlockOptions o{.attention = {.hidden = 6, .heads = 4, .groups = 2, .head_dim = 4, .qkv_bias = true},
                         .feed_forward = 5,
                         .feed_forward_bias = true};
    DecoderBlock<Device, Adapter> block(device, o, "b", options<Adapter<Device>>());
    if (mask) block.self_attn.units.set(device, {0, 1}), block.mlp.units.set(device, {1, 1, 0, 1, 0});
    return Angled<Device, DecoderBlock<Device, Adapter>>{std::move(block), Rotary<Device>(device, 4, {}), brief};
  };
}

}  // namespace

TEST_CASE("RMSNorm: backward is the derivative of forward") {
  check([](auto& device) { return RmsNorm<std::remove_reference_t<decltype(device)>>(device, 6, 1e-3); }, 6);
}

TEST_CASE("a linear map: backward is the derivative of forward, with and without adapter and bias") {
  for (bool bias : {false, true}) {
    check(make_linear<Frozen>(bias), 6);
    check(make_linear<LowRankAdapter>(bias), 6);
  }
}

TEST_CASE("a linear map with adapter dropout: the same coordinates are dropped in forward and backward") {
  check(
      [](auto& device) {
        return Linear<std::remove_reference_t<decltype(device)>, LowRankAdapter>(device, 6, 4, true, "p", kDropout);
      },
      6, /*training=*/true);
}

TEST_CASE("attention: backward is the derivative of forward, for every sharing of heads, with and without mask") {
  for (const auto& c : kAttention) {
    CAPTURE(c.name);
    for (bool mask : {false, true}) {
      check(make_attention<Frozen>(c.options, mask), c.options.hidden);
      check(make_attention<LowRankAdapter>(c.options, mask), c.options.hidden);
    }
  }
}

TEST_CASE("attention over several documents in a sequence: backward is the derivative of forward") {
  const int position[] = {0, 1, 0, 1, 2, 0, 0, 1, 2, 0};
  for (const auto& c : kAttention) {
    CAPTURE(c.name);
    for (bool mask : {false, true}) check(make_attention<LowRankAdapter>(c.options, mask, position), c.options.hidden);
  }
}

TEST_CASE("the gated feed-forward layer: backward is the derivative of forward, with and without mask") {
  for (bool bias : {false, true})
    for (bool mask : {false, true}) {
      check(make_feed_forward<Frozen>(bias, mask), 6);
      check(make_feed_forward<LowRankAdapter>(bias, mask), 6);
    }
}

TEST_CASE("a block: backward is the derivative of forward, kept or recomputed, with and without mask") {
  for (bool mask : {false, true})
    for (bool brief : {false, true}) {
      check(make_block<Frozen>(mask, brief), 6);
      check(make_block<LowRankAdapter>(mask, brief), 6);
    }
}

TEST_CASE("an adapter that is not a target leaves its projection alone") {
  const auto none = [](auto& device) {
    return Linear<std::remove_reference_t<decltype(device)>, LowRankAdapter>(device, 6, 4, false, "q_proj",
                                                                            {.targets = {"v_proj"}});
  };
  const auto frozen = [](auto& device) {
    return Linear<std::remove_reference_t<decltype(device)>, Frozen>(device, 6, 4, false, "q_proj", {});
  };
  const auto a = backward_gradients<Real>(none, kShape, 6), b = backward_gradients<Real>(frozen, kShape, 6);
  CHECK(a.tensors.size() == 1);
  CHECK(a.tensors == b.tensors);
}
