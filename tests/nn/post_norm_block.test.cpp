// SPDX-License-Identifier: MIT
// The block of encoders: its backward is the derivative, with and without padding, and heads leave it whole.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/nn/layer_norm.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/nn/mlp.hpp>
#include <espalier/nn/post_norm_block.hpp>
#include <espalier/nn/self_attention.hpp>
#include <espalier/prune/compact.hpp>

#include "derivative.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr Shape kShape{3, 5};
const int kVisible[] = {1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0};  // holes, a pad before, and nothing at all
struct AttentionNames {
  static constexpr const char *query = "q", *key = "k", *value = "v", *out = "o";
};
struct WideNames {
  static constexpr const char *up = "up", *down = "down";
};
struct BlockNames {
  static constexpr const char *attention = "attention", *middle_norm = "norm1", *feed_forward = "", *output_norm = "norm2";
};

/// The block with its padding, as a module and as a whole model.
template <class Device, template <class> class Adapter>
struct Padded {
  using DeviceType = Device;
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  using Block = PostNormBlock<Device, LayerNorm<Device>, SelfAttention<Device, Adapter, AttentionNames>,
                              Mlp<Device, Adapter, WideNames>, BlockNames>;
  using Activations = typename Block::Activations;

  Padded(Device& device, bool pad, bool mask, bool brief = false, double drop = 0) : run(device), recompute(brief) {
    typename Projection::Options options{};
    if constexpr (requires { options.rank; }) options.rank = 2;
    if constexpr (requires { options.dropout; }) options.dropout = drop;
    block = Block({device, 8, 3, 3, true, "attention", options}, {device, 8, 1e-5},
                  {device, 8, 10, ActivationFunction::gelu, "", options}, {device, 8, 1e-5});
    block.attention.dropout = {drop, 101}, block.attention_dropout = {drop, 102}, block.output_dropout = {drop, 103};
    if (mask) block.attention.units.set(device, {1, 0, 1}), block.feed_forward.units.set(device, {1, 0, 1, 1, 0, 0, 1, 1, 1, 1});
    if (pad) sees.visible = kVisible;
  }
  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    return recompute ? forward_briefly(block, pass, x, act, sees) : block.forward(pass, x, act, sees);
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx) {
    recompute ? backward_briefly(block, pass, dy, act, dx, sees) : block.backward(pass, dy, act, dx, sees);
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("", self.block);
  }
  template <class F>
  void groups(F&& f) {
    block.groups(0, f);
  }
  Block block;
  RunState<Device> run;
  kernel::Padding sees{};
  bool recompute;
};

template <template <class> class Adapter>
auto make(bool pad, bool mask, bool brief = false, double drop = 0) {
  return [=](auto& device) { return Padded<std::remove_reference_t<decltype(device)>, Adapter>(device, pad, mask, brief, drop); };
}

}  // namespace

TEST_CASE("backward is the derivative of forward, kept or recomputed, with and without padding and masks") {
  for (const bool pad : {false, true})
    for (const bool mask : {false, true}) {
      for (const bool brief : {false, true}) expect_derivative(make<LowRankAdapter>(pad, mask, brief), kShape, 8);
      expect_derivative(make<Frozen>(pad, mask), kShape, 8);
    }
}

TEST_CASE_TEMPLATE("with dropout, too: what is dropped is a function of its place", Device, Cpu<double>, Real) {
  for (const bool brief : {false, true}) {
    const auto maker = make<LowRankAdapter>(true, true, brief, 0.3);
    const auto exact = complex_step_gradients(maker, kShape, 8, /*training=*/true);
    CHECK(worst_error(backward_gradients<Device>(maker, kShape, 8, /*training=*/true), exact) <= 1e-12);
    CHECK(worst_error(backward_gradients<Device>(maker, kShape, 8, /*training=*/false), exact) > 1e-2);
  }
}

TEST_CASE("masked == compacted == merged: heads take their rows of query, key and value, and their columns of out") {
  Cpu<double> device;
  for (const bool pad : {false, true}) {
    Padded<Cpu<double>, LowRankAdapter> model(device, pad, true, false, 0.2);
    model.run.arena.bind(device, [&](auto&& f) { for_each_parameter(model, [&](const auto&, auto& p) { f(p); }); });
    randomise(model, 4);
    const auto outputs = [&](bool training = false) {
      Pass<Cpu<double>> pass(model.run.workspace, kShape, model.run.on_device(), training);
      auto x = pass.matrix(kShape.tokens(), 8);
      fill(x.data, x.size(), 3);
      typename decltype(model)::Activations act;
      const auto y = model.forward(pass, x, act);
      return std::vector<double>(y.data, y.data + y.size());
    };
    const auto masked = outputs(), dropped = outputs(true);
    CHECK(relative_error(dropped, masked) > 1e-2);
    const Index before = count_parameters(model);
    compact(model);
    CHECK(count_parameters(model) == before - (9 * 8 + 9 + 3 * 8) - 3 * (8 + 1 + 8));
    CHECK(relative_error(outputs(), masked) <= 1e-12);
    CHECK(relative_error(outputs(true), dropped) <= 1e-12);  // compaction does not shift what is dropped
    merge(model);
    CHECK(relative_error(outputs(), masked) <= 1e-12);
  }
}
