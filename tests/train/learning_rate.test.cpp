// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/io/json_file.hpp>
#include <espalier/train/learning_rate.hpp>

using namespace espalier;

TEST_CASE("Rates by hand") {
  const LearningRate constant{.peak = 2, .warmup = 4, .steps = 10};
  const double expected[] = {0.5, 1, 1.5, 2, 2, 2, 2, 2, 2, 2, 2, 2};
  for (Index t = 0; t < 12; ++t) CHECK(constant(t) == doctest::Approx(expected[t]));
  const LearningRate linear{.peak = 1, .warmup = 0, .steps = 4, .shape = RateShape::linear, .floor = 0.2};
  const double falling[] = {1, 0.8, 0.6, 0.4, 0.2, 0.2};
  for (Index t = 0; t < 6; ++t) CHECK(linear(t) == doctest::Approx(falling[t]));
  const LearningRate cosine{.peak = 1, .warmup = 1, .steps = 5, .shape = RateShape::cosine};
  const double bowed[] = {1, 1, 0.85355339059327373, 0.5, 0.14644660940672627, 0, 0};
  for (Index t = 0; t < 7; ++t) CHECK(cosine(t) == doctest::Approx(bowed[t]).epsilon(1e-14));
}

TEST_CASE("Rates are those of transformers, whose warm-up is one step behind") {
  const auto golden = json::read_file(ESPALIER_TEST_DATA "/optimizer.json");
  for (const auto& table : golden.at("schedules").elements()) {
    const Index warmup = table.index("warmup"), steps = table.index("steps");
    const LearningRate rate{.peak = 1, .warmup = warmup, .steps = steps,
                            .shape = table.text("shape") == "linear" ? RateShape::linear : RateShape::cosine};
    for (Index t = 0; t <= steps; ++t) {
      const Index theirs = t < warmup ? t + 1 : t;
      CHECK(rate(t) == doctest::Approx(table.at("rates").at(theirs).as_double()).epsilon(1e-12));
    }
  }
}
