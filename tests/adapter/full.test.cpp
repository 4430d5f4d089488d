// SPDX-License-Identifier: MIT
// Full fine-tuning as an adapter: its gradient is that of the weight, and whatever prunes sees the weight that moves.
#include <doctest/doctest.h>
#include <espalier/adapter/full.hpp>
#include <espalier/adapter/initialise.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/nn/mlp.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/importance/movement.hpp>
#include <espalier/prune/importance/signed_taylor.hpp>
#include <espalier/prune/importance/taylor.hpp>

#include "gradients.hpp"
#include "oracle_numbers.hpp"
#include "scores.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr Shape kShape{2, 5};
constexpr Index kHidden = 6, kWidth = 9;
struct Names {
  static constexpr const char *up = "up", *down = "down";
};
const std::vector<std::uint8_t> kAlive{1, 0, 1, 1, 0, 1, 1, 0, 1};

/// Bits of single weights, some of them.
template <class Projection, class Device>
void mask_some(Projection& p, Device& device) {
  p.allow_weight_mask(device, "p");
  const RandomStream stream{5, Purpose::test};
  std::vector<std::uint32_t> words(std::size_t(p.weight_mask.bits().size()));
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = stream.bits(i);
  p.weight_mask.set(device, words);
}

/// A feed-forward layer as a module and as a whole model.
template <class Device>
struct Whole {
  using DeviceType = Device;
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, FullAdapter>;
  using Activations = typename Mlp<Device, FullAdapter, Names>::Activations;
  Mlp<Device, FullAdapter, Names> mlp;
  RunState<Device> run;

  explicit Whole(Device& device) : mlp(device, kHidden, kWidth, ActivationFunction::gelu, "mlp", {}), run(device) {}
  void bind() {
    run.arena.bind(*run.device, [this](auto&& f) { for_each_parameter(*this, [&](const auto&, auto& p) { f(p); }); });
    randomise(*this, 5);
  }
  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const { return mlp.forward(pass, x, act); }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx) { mlp.backward(pass, dy, act, dx); }
  template <class F>
  void groups(F&& f) {
    f(mlp.group(0));
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("mlp", self.mlp);
  }
  /// Outputs, and gradients of what is trained.
  std::vector<double> outputs(bool backward = true) {
    Pass<Device> pass(run.workspace, kShape, run.on_device());
    auto x = pass.matrix(kShape.tokens(), kHidden);
    fill(x.data, x.size(), 3);
    Activations act;
    const auto y = mlp.forward(pass, x, act);
    if (backward) mlp.backward(pass, y, act, {});
    return std::vector<double>(y.data, y.data + y.size());
  }
};

}  // namespace

TEST_CASE_TEMPLATE("backward is the derivative of forward, with and without masks on units and single weights", Device, Cpu<double>, Real) {
  for (const bool units : {false, true})
    for (const bool weights : {false, true}) {
      const auto make = [=](auto& device) {
        Whole<std::remove_reference_t<decltype(device)>> model(device);
        if (units) model.mlp.units.set(device, kAlive);
        if (weights) mask_some(model.mlp.up, device), mask_some(model.mlp.down, device);
        return model;
      };
      CHECK(worst_error(backward_gradients<Device>(make, kShape, kHidden), complex_step_gradients(make, kShape, kHidden)) <= 1e-12);
    }
}

TEST_CASE("merged == unmerged, and masked == compacted: the update leaves with its weight, rows and columns") {
  using Device = Cpu<double>;
  Device device;
  Whole<Device> model(device);
  model.bind();
  const auto plain = model.outputs(false);
  const auto weight = as_doubles(model.mlp.up.weight.view());
  merge(model);
  CHECK(relative_error(model.outputs(false), plain) <= 1e-13);
  CHECK(!model.mlp.up.adapter.active());
  unmerge(model);
  CHECK(relative_error(as_doubles(model.mlp.up.weight.view()), weight) <= 1e-13);
  model.mlp.units.set(device, kAlive);
  const auto masked = model.outputs();
  CHECK(relative_error(masked, plain) > 1e-2);
  compact(model);
  CHECK(model.mlp.up.adapter.b.rows == 6);
  CHECK(model.mlp.down.adapter.b.cols == 6);
  CHECK(relative_error(model.outputs(), masked) <= 1e-12);
  merge(model);
  CHECK(relative_error(model.outputs(false), masked) <= 1e-12);
}

TEST_CASE("scores are those of the weight that moves: exact Taylor, full and signed, movement of full fine-tuning, magnitude") {
  using Device = Cpu<double>;
  Device device;
  std::vector<double> taylor(kWidth), movement(kWidth), magnitude(kWidth), up(kWidth), down(kWidth);
  const auto scores = [&](auto importance) {
    Whole<Device> model(device);
    model.bind();
    return std::pair(group_scores(model, importance, Normalise::none, [&] { model.outputs(); }).front(), std::move(model));
  };
  const auto full = scores(FullTaylorImportance{});
  const auto add = [&](const auto& p, bool rows) {
    for (Index i = 0; i < p.out(); ++i)
      for (Index j = 0; j < p.in(); ++j) {
        const double w = p.weight.view()(i, j) + p.adapter.b.value(i, j), gw = p.adapter.b.grad(i, j) * w;
        const auto u = std::size_t(rows ? i : j);
        taylor[u] += gw * gw, movement[u] -= gw, magnitude[u] += std::abs(w), (rows ? up : down)[u] += gw;
      }
  };
  add(full.second.mlp.up, true), add(full.second.mlp.down, false);
  CHECK(relative_error(full.first, taylor) <= 1e-12);
  CHECK(relative_error(scores(MovementImportance{}).first, movement) <= 1e-11);
  CHECK(relative_error(scores(MagnitudeImportance{}).first, magnitude) <= 1e-12);
  std::vector<double> sums;
  for (std::size_t u = 0; u < std::size_t(kWidth); ++u) sums.push_back(up[u] * up[u] + down[u] * down[u]);
  CHECK(relative_error(scores(SignedTaylorImportance{}).first, sums) <= 1e-11);
  Whole<Device> model(device);
  model.bind();
  CHECK_THROWS_WITH_AS(unit_scores(model, TaylorImportance{}), doctest::Contains("low-rank adapters"), Error);
}

TEST_CASE("a fresh one changes nothing, whatever it was") {
  using Device = Cpu<double>;
  Device device;
  Whole<Device> model(device);
  model.bind();
  const auto moved = model.outputs(false);
  initialise(model, 3, AdapterInit::peft);
  const auto fresh = model.outputs(false);
  model.mlp.up.adapter.merged = model.mlp.down.adapter.merged = true;  // the weights alone
  CHECK(fresh == model.outputs(false));
  CHECK(relative_error(fresh, moved) > 1e-2);
}

TEST_CASE("names say what is trained in full") {
  Cpu<double> device;
  const Linear<Cpu<double>, FullAdapter> yes(device, 6, 5, false, "layers.0.q_proj", {.targets = {"q_proj"}}),
      no(device, 6, 5, false, "layers.0.k_proj", {.targets = {"q_proj"}});
  CHECK(yes.adapter.present());
  CHECK(!no.adapter.present());
}
