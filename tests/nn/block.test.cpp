// SPDX-License-Identifier: MIT
// The block with its norms in front, as ViT and GPT-2 have it: dropout behind both branches, and masks on what they add.
#include <doctest/doctest.h>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/nn/block.hpp>
#include <espalier/nn/layer_norm.hpp>
#include <espalier/nn/mlp.hpp>
#include <espalier/nn/recompute.hpp>
#include <espalier/nn/self_attention.hpp>

#include "gradients.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr Shape kShape{2, 5};
struct AttentionNames {
  static constexpr const char *query = "q", *key = "k", *value = "v", *out = "o";
};
struct WideNames {
  static constexpr const char *up = "up", *down = "down";
};
struct BlockNames {
  static constexpr const char *input_norm = "norm1", *attention = "attention", *middle_norm = "norm2", *feed_forward = "";
};

/// The block; channels of the residual stream masked on request; forward may throw its activations away.
template <class Device>
struct Masked {
  using T = typename Device::Activation;
  using Block = PreNormBlock<Device, LayerNorm<Device>, SelfAttention<Device, LowRankAdapter, AttentionNames>,
                             Mlp<Device, LowRankAdapter, WideNames>, BlockNames>;
  using Activations = typename Block::Activations;

  Masked(Device& device, double drop, bool mask, bool brief)
      : block(LayerNorm<Device>(device, 8, 1e-5), {device, 8, 3, 3, true, "attention", {.rank = 2, .dropout = drop}},
              LayerNorm<Device>(device, 8, 1e-5), {device, 8, 10, ActivationFunction::gelu, "", {.rank = 2, .dropout = drop}}),
        channels(device, 8), recompute(brief) {
    block.self_attn.dropout = {drop, 101}, block.attention_dropout = {drop, 102}, block.output_dropout = {drop, 103};
    if (!mask) return;
    channels.set(device, {1, 0, 1, 1, 0, 1, 1, 1});
    block.residual = channels.outputs(1);
  }
  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    return recompute ? forward_briefly(block, pass, x, act, kernel::Padding{}) : block.forward(pass, x, act, {});
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx) {
    recompute ? backward_briefly(block, pass, dy, act, dx, kernel::Padding{}) : block.backward(pass, dy, act, dx, {});
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("", self.block);
  }
  Block block;
  UnitMask<Device> channels;
  bool recompute;
};

auto make(double drop, bool mask, bool brief = false) {
  return [=](auto& device) { return Masked<std::remove_reference_t<decltype(device)>>(device, drop, mask, brief); };
}

}  // namespace

TEST_CASE_TEMPLATE("backward is the derivative of forward, with dropout and masks on what is added, and recomputed", Device, Cpu<double>, Real) {
  for (const double drop : {0.0, 0.3})
    for (const bool mask : {false, true}) {
      const auto exact = complex_step_gradients(make(drop, mask), kShape, 8, /*training=*/true);
      for (const bool brief : {false, true})
        CHECK(worst_error(backward_gradients<Device>(make(drop, mask, brief), kShape, 8, /*training=*/true), exact) <= 1e-12);
      if (drop > 0) CHECK(worst_error(backward_gradients<Device>(make(drop, mask), kShape, 8, /*training=*/false), exact) > 1e-2);
    }
}
