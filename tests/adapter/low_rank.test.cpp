// SPDX-License-Identifier: MIT
#include <cmath>
#include <doctest/doctest.h>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/nn/linear.hpp>

#include "gradients.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("the scale is alpha over the rank, or over its root when rank-stabilised") {
  CHECK(LowRankOptions{.rank = 8, .alpha = 16}.scale() == 2);
  CHECK(LowRankOptions{.rank = 16, .alpha = 16, .rank_stabilised = true}.scale() == 4);
}

TEST_CASE("a target is a whole name or the end of a path, cut at a dot") {
  const LowRankOptions o{.targets = {"q_proj", "layers.1.mlp.up_proj"}};
  CHECK(o.matches("q_proj"));
  CHECK(o.matches("model.layers.0.self_attn.q_proj"));
  CHECK(o.matches("model.layers.1.mlp.up_proj"));
  CHECK_FALSE(o.matches("model.layers.11.mlp.up_proj"));
  CHECK_FALSE(o.matches("model.layers.0.self_attn.xq_proj"));
  CHECK_FALSE(o.matches("model.layers.0.self_attn.q_proj.x"));
  CHECK(LowRankOptions{}.matches("anything"));
}

TEST_CASE("options that make no sense are refused with their value") {
  Real device;
  CHECK_THROWS_WITH_AS(LowRankAdapter<Real>(device, 4, 4, "p", {.rank = 0}), "adapter: rank is 0, expected at least 1",
                       Error);
  CHECK_THROWS_AS(LowRankAdapter<Real>(device, 4, 4, "p", {.dropout = 1}), Error);
  CHECK_THROWS_AS(LowRankAdapter<Real>(device, 4, 4, "p", {.dropout = -0.1}), Error);
}

TEST_CASE_TEMPLATE("a fresh adapter leaves its projection unchanged, bit for bit", Device, Real, Cpu<double>, Cpu<float>) {
  using T = typename Device::Activation;
  const auto with = [](auto& device) { return Linear<Device, LowRankAdapter>(device, 24, 40, true, "p", {.rank = 4}); };
  Rig<Device, Linear<Device, LowRankAdapter>> rig(with);
  auto& adapter = rig.module.adapter;
  for (Index i = 0; i < adapter.b.size(); ++i) adapter.b.value.data[i] = T(0);
  Pass<Device> pass(rig.workspace, {3, 7});
  auto x = pass.matrix(21, 24);
  fill(x.data, x.size(), 5);
  typename Linear<Device, LowRankAdapter>::Activations act{};
  const auto y = rig.module.forward(pass, x, act);
  auto plain = pass.matrix(21, 40);
  pass.device.gemm(T(1), x, rig.module.weight.view().t(), T(0), plain);
  for (Index i = 0; i < 21; ++i)
    for (Index j = 0; j < 40; ++j) CHECK(y(i, j) == plain(i, j) + rig.module.bias.view()(j));
}

TEST_CASE("dropout keeps the share it says, scales what it keeps, and changes with step and micro-batch") {
  Real device;
  const Index rows = 200, cols = 300;
  std::vector<double> x(std::size_t(rows * cols), 1.0), y(x.size()), z(x.size());
  StepState state{.seed = 11, .step = 4};
  const auto draw = [&](std::vector<double>& to) {
    device.for_each_row(rows, kernel::Dropout<double>{matrix<const double>(x.data(), rows, cols), 0.25, 3, &state,
                                                      nullptr, cols, false, matrix(to.data(), rows, cols)});
  };
  draw(y);
  double kept = 0;
  for (double v : y) {
    CHECK((v == 0 || v == doctest::Approx(1 / 0.75).epsilon(1e-6)));
    kept += v != 0;
  }
  CHECK(kept / double(y.size()) == doctest::Approx(0.75).epsilon(0.01));
  draw(z);
  CHECK(y == z);
  state.step = 5;
  draw(z);
  CHECK(y != z);
  state.step = 4, state.micro = 1;
  draw(z);
  CHECK(y != z);
}

TEST_CASE("a column keeps its random numbers when its neighbours leave") {
  Real device;
  const Index rows = 9, cols = 12;
  std::vector<double> x(std::size_t(rows * cols), 1.0), all(x.size()), some(std::size_t(rows * 4));
  const StepState state{.seed = 2, .step = 1};
  const int origin[] = {1, 5, 6, 11};
  device.for_each_row(rows, kernel::Dropout<double>{matrix<const double>(x.data(), rows, cols), 0.5, 0, &state, nullptr,
                                                    cols, false, matrix(all.data(), rows, cols)});
  device.for_each_row(rows, kernel::Dropout<double>{matrix<const double>(x.data(), rows, 4), 0.5, 0, &state, origin,
                                                    cols, false, matrix(some.data(), rows, 4)});
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < 4; ++j) CHECK(some[std::size_t(4 * i + j)] == all[std::size_t(cols * i + origin[j])]);
}
