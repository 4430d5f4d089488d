// SPDX-License-Identifier: MIT
// Layer norm and the two-map feed-forward layer: values against definitions, backward against the complex step.
#include <cmath>
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/nn/layer_norm.hpp>
#include <espalier/nn/mlp.hpp>

#include "derivative.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr Shape kShape{2, 5};
struct Names {
  static constexpr const char *up = "fc1", *down = "fc2";
};

template <class Make>
void check(const Make& make, Index in) {
  expect_derivative(make, kShape, in);
}

template <template <class> class Adapter>
auto make_mlp(ActivationFunction function, bool mask) {
  return [=](auto& device) {
    using Device = std::remove_reference_t<decltype(device)>;
    typename Adapter<Device>::Options options{};
    if constexpr (requires { options.rank; }) options.rank = 3;
    Mlp<Device, Adapter, Names> mlp(device, 6, 5, function, "m", options);
    if (mask) mlp.units.set(device, {1, 0, 1, 1, 0});
    return mlp;
  };
}

}  // namespace

TEST_CASE("activation functions: published values") {
  // Computed to 17 digits with mpmath: x Φ(x), its tanh form, x σ(x).
  const double x[] = {-3.0, -1.0, -0.1, 0.0, 0.5, 2.0};
  const double gelu[] = {-0.0040496940948902926, -0.15865525393145705, -0.046017216272297105,
                         0.0, 0.34573123063700656, 1.9544997361036416};
  const double silu[] = {-0.14227761953270035, -0.26894142136999512, -0.047502081252106003,
                         0.0, 0.31122966560092728, 1.7615941559557649};
  for (int i = 0; i < 6; ++i) {
    CHECK(kernel::Gelu()(x[i]).value == doctest::Approx(gelu[i]).epsilon(1e-14));
    CHECK(kernel::Silu()(x[i]).value == doctest::Approx(silu[i]).epsilon(1e-14));
    const double tanh_form =
        0.5 * x[i] * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x[i] + 0.044715 * x[i] * x[i] * x[i])));
    CHECK(kernel::GeluTanh()(x[i]).value == doctest::Approx(tanh_form).epsilon(1e-13));
    CHECK(kernel::Relu()(x[i]).value == std::max(x[i], 0.0));
    CHECK(kernel::Relu()(x[i]).slope == (x[i] > 0 ? 1.0 : 0.0));
  }
  for (const float far : {-200.0f, 200.0f}) {  // no overflow on the way
    CHECK(kernel::GeluTanh()(far).value == std::max(far, 0.0f));
    CHECK(kernel::Gelu()(far).value == std::max(far, 0.0f));
    CHECK(std::isfinite(kernel::Silu()(far).slope));
  }
}

TEST_CASE("layer norm: rows have mean zero and variance one before gain and shift") {
  Cpu<double> device;
  Workspace<Cpu<double>> workspace(device);
  LayerNorm<Cpu<double>> norm(device, 33, 1e-5);
  randomise(norm, 3);
  Pass<Cpu<double>> pass(workspace, {1, 4});
  auto x = pass.matrix(4, 33);
  fill(x.data, x.size(), 5, 3.0, 100.0);  // far from zero: the variance must not be a difference of squares
  LayerNorm<Cpu<double>>::Activations act;
  const auto y = norm.forward(pass, x, act);
  for (Index i = 0; i < 4; ++i) {
    long double mean = 0, variance = 0;
    for (Index j = 0; j < 33; ++j) mean += (long double)(x(i, j)) / 33;
    for (Index j = 0; j < 33; ++j) variance += (x(i, j) - mean) * (x(i, j) - mean) / 33;
    for (Index j = 0; j < 33; ++j) {
      const auto want = double((x(i, j) - mean) / std::sqrt(variance + 1e-5L)) * norm.weight.view()(j) + norm.bias.view()(j);
      CHECK(std::abs(y(i, j) - want) <= 1e-11);
    }
  }
}

TEST_CASE("layer norm: backward is the derivative of forward") {
  check([](auto& device) { return LayerNorm<std::remove_reference_t<decltype(device)>>(device, 6, 1e-3); }, 6);
}

TEST_CASE("the two-map feed-forward layer: backward is the derivative of forward, with and without adapter and mask") {
  for (const auto function : {ActivationFunction::relu, ActivationFunction::silu, ActivationFunction::gelu,
                              ActivationFunction::gelu_tanh})
    for (const bool mask : {false, true}) {
      CAPTURE(int(function));
      check(make_mlp<Frozen>(function, mask), 6);
      check(make_mlp<LowRankAdapter>(function, mask), 6);
    }
}
