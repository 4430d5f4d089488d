// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/mask.hpp>
#include <limits>

#include "gradients.hpp"
#include "oracle_numbers.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE_TEMPLATE("the running score is the oracle's, from zero and without bias correction", Device, Oracle<double>,
                   Cpu<double>) {
  const auto& json = oracle_numbers()["ema"];
  Device device;
  std::vector<double> running(3, 0.0);
  int bad[2] = {};
  const EMAMask mask{.decay = json["lambda"].template get<double>()};
  for (const auto& step : json["steps"]) {
    const auto fresh = numbers(step["group_hat"]);
    mask.smooth(device, View<const double, 1>(vector(fresh.data(), 3)), vector(running.data(), 3), bad);
    CHECK(relative_error(running, numbers(step["group_bar"])) <= 1e-12);
    CHECK(relative_error(running, numbers(step["group_bar_bias_corrected"])) > 1e-3);
  }
  CHECK(bad[1] == 0);
}

TEST_CASE_TEMPLATE("a score that is not finite changes nothing and is counted", Device, Oracle<double>, Cpu<double>) {
  Device device;
  std::vector<double> running{1, 2, 3};
  int bad[2] = {};
  const EMAMask mask{.decay = 0.5};
  for (const double wrong : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()}) {
    const std::vector<double> fresh{5, wrong, 5};
    mask.smooth(device, View<const double, 1>(vector(fresh.data(), 3)), vector(running.data(), 3), bad);
    CHECK(running == std::vector<double>{1, 2, 3});
    CHECK(bad[0] == 1);
  }
  CHECK(bad[1] == 3);
  const std::vector<double> fine{3, 2, 1};
  mask.smooth(device, View<const double, 1>(vector(fine.data(), 3)), vector(running.data(), 3), bad);
  CHECK(running == std::vector<double>{2, 2, 2});
  CHECK(bad[0] == 0);
  CHECK(bad[1] == 3);
}

TEST_CASE("of equal scores the lower index is removed first") {
  using Bits = std::vector<std::uint8_t>;
  CHECK(keep_all_but_lowest({1, 1, 1, 1}, 2) == Bits{0, 0, 1, 1});
  CHECK(keep_all_but_lowest({3, 1, 2, 1, 1}, 2) == Bits{1, 0, 1, 0, 1});
  CHECK(keep_all_but_lowest({3, 1, 2}, 0) == Bits{1, 1, 1});
  CHECK(keep_all_but_lowest({3, 1, 2}, 9) == Bits{0, 0, 0});
}

TEST_CASE("half of the oracle's elements leave exactly as it says") {
  const auto& json = oracle_numbers()["parallel"];
  const auto keep = keep_all_but_lowest(numbers(json["importance"]["lora_sq"]), 24);
  CHECK(std::vector<double>(keep.begin(), keep.end()) == numbers(json["topk_mask_50_lora_sq"]));
}

TEST_CASE("revival: what is masked returns under the paper's rule and never under the official one") {
  const auto& json = oracle_numbers()["revival"];
  const auto first = keep_all_but_lowest(numbers(json["g1"]), 3);
  CHECK(std::vector<double>(first.begin(), first.end()) == numbers(json["mask_1"]));
  const auto official = keep_all_but_lowest(numbers(json["g2"]), 3, &first);
  CHECK(std::vector<double>(official.begin(), official.end()) == numbers(json["mask_2_official"]));
  const auto paper = keep_all_but_lowest(numbers(json["g2"]), 3);
  CHECK(std::vector<double>(paper.begin(), paper.end()) == numbers(json["mask_2_paper"]));
}

TEST_CASE("once masked stays masked even when a living unit scores zero") {
  const std::vector<std::uint8_t> alive{1, 1, 0, 1};
  CHECK(keep_all_but_lowest({0, 5, 9, 7}, 1, &alive) == alive);
}
