// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/train/clip.hpp>
#include <limits>

#include "support/oracle.hpp"
#include "support/stub_model.hpp"
#include "support/threads.hpp"

using namespace espalier;

namespace {
template <class Device>
void fill(test::StubModel<Device>& model, double scale) {
  for (auto& p : model.parameters)
    for (Index i = 0; i < p.size(); ++i)
      p.grad(0, i) = typename Device::Accumulate(scale * double((i * 7 + p.offset) % 13 - 6));
}
}  // namespace

TEST_CASE("The norm is that of all gradients together, whatever their number") {
  test::Oracle<double> device;
  for (const Index n : {1, 2, 4095, 4096, 4097, 50000}) {
    test::StubModel<test::Oracle<double>> model(device, {n, 3});
    fill(model, 0.25);
    double sum = 0;
    for (auto& p : model.parameters)
      for (Index i = 0; i < p.size(); ++i) sum += p.grad(0, i) * p.grad(0, i);
    REQUIRE(sum > 0);
    const double norm = std::sqrt(sum);
    clip(model, 0);
    CHECK(model.run.look().norm == doctest::Approx(norm).epsilon(1e-14));
    CHECK(model.run.look().clip == 1);
    clip(model, norm / 2);
    CHECK(model.run.look().clip == doctest::Approx(0.5 * norm / (norm + 1e-6)).epsilon(1e-14));
    clip(model, norm * 2);
    CHECK(model.run.look().clip == 1);
  }
}

TEST_CASE("Publishing what the host knows does not disturb what the device found") {
  test::Oracle<double> device;
  test::StubModel<test::Oracle<double>> model(device, {10});
  fill(model, 1);
  clip(model, 1);
  const StepState before = model.run.look();
  model.run.step.rate = 0.5;
  model.run.publish();
  const StepState after = model.run.look();
  CHECK(after.rate == 0.5);
  CHECK(after.clip == before.clip);
  CHECK(after.norm == before.norm);
  CHECK(after.clip < 1);
}

TEST_CASE("In single precision squares neither overflow nor vanish") {
  Cpu<float> device;
  test::StubModel<Cpu<float>> model(device, {3000});
  for (const double scale : {1e-30, 1e30}) {
    fill(model, scale);
    clip(model, 1);
    double sum = 0;
    for (Index i = 0; i < 3000; ++i)
      sum += double(model.parameters[0].grad(0, i)) * double(model.parameters[0].grad(0, i));
    CHECK(model.run.look().norm == doctest::Approx(std::sqrt(sum)).epsilon(1e-12));
    CHECK(model.run.look().clip > 0);
  }
}

TEST_CASE("The norm has the same bits for any number of threads") {
  Cpu<float> device;
  test::StubModel<Cpu<float>> model(device, {100000, 77});
  fill(model, 0.1);
  double first = 0;
  for (const int threads : {1, 2, 3}) {
    test::use_threads(threads);
    clip(model, 1);
    if (threads == 1) first = model.run.look().norm;
    CHECK(model.run.look().norm == first);
  }
}

TEST_CASE("A gradient that is not finite asks for the step to be skipped") {
  Cpu<float> device;
  test::StubModel<Cpu<float>> model(device, {9000});
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    fill(model, 1);
    model.parameters[0].grad(0, 8000) = bad;
    clip(model, 1);
    CHECK(model.run.look().clip < 0);
  }
}
