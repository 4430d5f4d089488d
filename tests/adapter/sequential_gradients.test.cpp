// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/adapter/sequential.hpp>
#include <espalier/nn/feed_forward.hpp>

#include "derivative.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("backward is the derivative of forward: linear, attention and feed-forward, with and without masks") {
  constexpr Shape shape{2, 5};
  const LowRankOptions options{.rank = 3, .alpha = 6};
  const auto check = [&](const auto& make, Index in, bool training = false) {
    expect_derivative(make, shape, in, training);
  };
  const auto linear = [](bool bias, const LowRankOptions& o) {
    return [=](auto& device) {
      return Linear<std::remove_reference_t<decltype(device)>, SequentialAdapter>(device, 6, 4, bias, "p", o);
    };
  };
  for (const bool bias : {false, true}) check(linear(bias, options), 6);
  check(linear(true, {.rank = 3, .dropout = 0.4}), 6, /*training=*/true);
  for (const bool mask : {false, true})
    check([&](auto& device) {
      using Device = std::remove_reference_t<decltype(device)>;
      GatedFeedForward<Device, SequentialAdapter> f(device, 6, 5, true, "f", options);
      if (mask) f.units.set(device, {1, 0, 1, 1, 0});
      return f;
    }, 6);
}
