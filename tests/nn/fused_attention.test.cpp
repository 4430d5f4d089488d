// SPDX-License-Identifier: MIT
// Attention with one projection for queries, keys and values: it is the attention of three projections, its backward is
// the derivative, and heads leave it whole.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/adapter/sequential.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/nn/attention.hpp>
#include <espalier/nn/fused_attention.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/taylor.hpp>

#include "derivative.hpp"
#include "scores.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr Shape kShape{2, 5};
struct Names {
  static constexpr const char *in = "c_attn", *out = "c_proj";
};

template <template <class> class Adapter>
auto make(bool mask, double drop = 0) {
  return [=](auto& device) {
    using Device = std::remove_reference_t<decltype(device)>;
    typename Adapter<Device>::Options options{};
    if constexpr (requires { options.rank; }) options.rank = 2;
    FusedAttention<Device, Adapter, Names> attention(device, 8, 4, 3, 0.5, "a", options);
    if (mask) attention.units.set(device, {1, 0, 1, 0});
    attention.dropout = {drop, 101};
    return attention;
  };
}

/// As a whole model: what pruner and compaction ask for.
template <class Device, template <class> class Adapter>
struct Whole {
  using DeviceType = Device;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  FusedAttention<Device, Adapter, Names> attention;
  RunState<Device> run;

  explicit Whole(Device& device) : attention(make<Adapter>(false)(device)), run(device) {
    run.arena.bind(device, [this](auto&& f) { for_each_parameter(*this, [&](const auto&, auto& p) { f(p); }); });
    randomise(*this, 5);
  }
  template <class F>
  void groups(F&& f) {
    f(attention.group(0));
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("a", self.attention);
  }
  /// Outputs, and gradients of what is trained.
  std::vector<double> outputs(bool backward = true) {
    Pass<Device> pass(run.workspace, kShape, run.on_device());
    auto x = pass.matrix(kShape.tokens(), 8);
    fill(x.data, x.size(), 3);
    typename decltype(attention)::Activations act;
    const auto y = attention.forward(pass, x, act);
    if (backward) attention.backward(pass, y, act, {});
    return std::vector<double>(y.data, y.data + y.size());
  }
};

}  // namespace

TEST_CASE("backward is the derivative of forward, with and without a mask") {
  const auto check = [](const auto& maker) { expect_derivative(maker, kShape, 8); };
  for (const bool mask : {false, true}) {
    check(make<Frozen>(mask));
    check(make<LowRankAdapter>(mask));
    check(make<SequentialAdapter>(mask));
  }
}

TEST_CASE_TEMPLATE("with dropout, too: which probabilities are dropped is a function of their place", Device, Cpu<double>, Real) {
  const auto maker = make<LowRankAdapter>(true, 0.3);
  const auto exact = complex_step_gradients(maker, kShape, 8, /*training=*/true);
  CHECK(worst_error(backward_gradients<Device>(maker, kShape, 8, /*training=*/true), exact) <= 1e-12);
  CHECK(worst_error(backward_gradients<Device>(maker, kShape, 8, /*training=*/false), exact) > 1e-2);
}

TEST_CASE("it is the attention of three projections side by side") {
  using Device = Cpu<double>;
  Device device;
  Whole<Device, Frozen> whole(device);
  auto& fused = whole.attention;
  Attention<Device, Frozen> apart(device, {.hidden = 8, .heads = 4, .groups = 4, .head_dim = 3, .qkv_bias = true, .out_bias = true},
                                  "a", {});
  const auto third = [&](auto& p, Index n) {
    const Index rows = 12, size = rows * 8;
    std::copy_n(fused.in.weight.view().data + n * size, size, p.weight.view().data);
    std::copy_n(fused.in.bias.view().data + n * rows, rows, p.bias.view().data);
  };
  third(apart.q_proj, 0), third(apart.k_proj, 1), third(apart.v_proj, 2);
  // Its scale is 1/√3; the fused one was given ½.
  for (Index i = 0; i < 96; ++i) apart.q_proj.weight.view().data[i] *= 0.5 * std::sqrt(3.0);
  for (Index i = 0; i < 12; ++i) apart.q_proj.bias.view().data[i] *= 0.5 * std::sqrt(3.0);
  std::copy_n(fused.out.weight.view().data, 96, apart.o_proj.weight.view().data);
  std::copy_n(fused.out.bias.view().data, 8, apart.o_proj.bias.view().data);
  Workspace<Device> workspace(device);
  Pass<Device> pass(workspace, kShape);
  auto x = pass.matrix(kShape.tokens(), 8);
  fill(x.data, x.size(), 3);
  auto cosine = pass.matrix(kShape.seq, 1), sine = pass.zeros(kShape.seq, 1);  // no rotation
  for (Index t = 0; t < kShape.seq; ++t) cosine(t, 0) = 1;
  Attention<Device, Frozen>::Activations act;
  const auto y = apart.forward(pass, x, act, {cosine, sine});
  CHECK(relative_error(whole.outputs(false), std::vector<double>(y.data, y.data + y.size())) <= 1e-13);
}

TEST_CASE_TEMPLATE("masked == compacted: a head leaves all three thirds", Device, Cpu<double>, Oracle<double>) {
  const auto check = [](auto& model) {
    Device& device = *model.run.device;
    model.attention.units.set(device, {0, 1, 0, 1});
    const auto masked = model.outputs();
    const Index before = count_parameters(model);
    Index cost = 0;
    model.groups([&](auto group) { cost = group.cost(); });
    compact(model);
    CHECK(count_parameters(model) == before - 2 * cost);
    CHECK(model.attention.heads() == 2);
    CHECK(relative_error(model.outputs(), masked) <= 1e-12);
    merge(model);
    CHECK(relative_error(model.outputs(false), masked) <= 1e-12);
  };
  Device device;
  Whole<Device, Frozen> frozen(device);
  check(frozen);
  Whole<Device, LowRankAdapter> parallel(device);
  check(parallel);
  Whole<Device, SequentialAdapter> sequential(device);
  check(sequential);
}

TEST_CASE("a head's score is the sum over its rows in each third and its columns") {
  using Device = Cpu<double>;
  Device device;
  Whole<Device, LowRankAdapter> model(device);
  model.outputs();
  const auto scores = unit_scores(model, TaylorImportance{});
  REQUIRE(scores.size() == 4);
  std::vector<double> want(4);
  const auto add = [&](const auto& p, bool rows) {
    const auto &a = p.adapter.a, &b = p.adapter.b;
    for (Index i = 0; i < p.out(); ++i)
      for (Index j = 0; j < p.in(); ++j) {
        double g = 0, w = p.weight.view()(i, j);
        for (Index r = 0; r < 2; ++r) {
          g += b.grad(i, r) * a.value(r, j) + b.value(i, r) * a.grad(r, j) - b.grad(i, r) * a.grad(r, j);
          w += p.adapter.scale * b.value(i, r) * a.value(r, j);
        }
        want[std::size_t((rows ? i % 12 : j) / 3)] += g * w * g * w;
      }
  };
  add(model.attention.in, true), add(model.attention.out, false);
  CHECK(relative_error(scores, want) <= 1e-12);
}
