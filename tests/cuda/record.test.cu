// SPDX-License-Identifier: MIT
#include <espalier/kernel/elementwise.hpp>
#include <stdexcept>

#include "device.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

struct Multiply {
  float *x, factor;
  ESPALIER_FN void operator()(Index i) const { x[i] *= factor; }
};

}  // namespace

TEST_CASE("a recorded step computes what an eager one does, with other numbers and addresses from time to time") {
  const Index n = 64;
  std::vector<float> results[2];
  for (const bool graphs : {false, true}) {
    Cuda<float> device({.graphs = graphs});
    auto x = there(device, whole<float>(n * n, 2)), y = there(device, whole<float>(n * n, 2, 7));
    Cuda<float>::Buffer<float> c(device, n * n), d(device, n * n);
    for (int step = 0; step < 24; ++step) {
      auto& to = step % 2 == 0 ? c : d;
      device.record([&] {
        device.gemm(1.0f, matrix<const float>(x.data(), n, n), matrix<const float>(y.data(), n, n), 0.5f,
                    matrix(to.data(), n, n));
        device.for_each(to.size(), Multiply{to.data(), float(step % 3)});
        if (step == 5) device.for_each(to.size(), kernel::Accumulate<float>{x.data(), to.data()});  // another shape
      });
    }
    auto all = seen(device, c.data(), n * n);
    const auto rest = seen(device, d.data(), n * n);
    all.insert(all.end(), rest.begin(), rest.end());
    results[graphs ? 1 : 0] = all;
    // Six steps that differ, one of them with one launch more and the next time without: each was launched as it is, then
    // captured, then replayed.
    CHECK(device.system().captures() == (graphs ? 6 : 0));
    CHECK(device.system().replays() == (graphs ? 24 - 7 : 0));
  }
  CHECK(results[0] == results[1]);
}

TEST_CASE("what a kernel reads on the device may change from one replay to the next") {
  Cuda<float> device;
  auto x = there(device, std::vector<float>{1, 2, 3}), y = there(device, std::vector<float>{0, 0, 0});
  for (int step = 0; step < 5; ++step) {
    const std::vector<float> now{float(step), 0, 1};
    device.upload(x.data(), now.data(), 3);
    device.record([&] { device.for_each(3, kernel::Accumulate<float>{x.data(), y.data()}); });
  }
  CHECK(seen(device, y.data(), 3) == std::vector<float>{10, 0, 5});
  CHECK(device.system().captures() == 1);
  CHECK(device.system().replays() == 4);
}

TEST_CASE("more lists than are kept are launched as well") {
  Cuda<float> device;
  auto x = there(device, std::vector<float>{0, 0, 0});
  const auto one = there(device, std::vector<float>{1, 1, 1});
  for (int round = 0; round < 2; ++round)
    for (Index n = 0; n < 100; ++n)
      device.record([&] {
        for (Index i = 0; i < n; ++i) device.for_each(3, kernel::Accumulate<float>{one.data(), x.data()});
      });
  CHECK(seen(device, x.data(), 3) == std::vector<float>(3, 9900));
}

TEST_CASE("a recording inside a recording is part of it") {
  Cuda<float> device;
  auto x = there(device, std::vector<float>{1, 2, 3});
  for (int step = 0; step < 4; ++step)
    device.record([&] {
      device.for_each(3, Multiply{x.data(), 2});
      device.record([&] { device.for_each(3, Multiply{x.data(), 3}); });
    });
  CHECK(seen(device, x.data(), 3) == std::vector<float>{1296, 2592, 3888});
}

TEST_CASE("memory may be taken and given back while a step is recorded") {
  Cuda<float> device;
  auto x = there(device, std::vector<float>(1000, 1));
  for (int step = 0; step < 6; ++step)
    device.record([&] {
      if (step < 3) {
        device.for_each(1000, Multiply{x.data(), 2});
      } else {  // the recording has begun by now
        Cuda<float>::Buffer<float> own(device, 1000);
        device.for_each(1000, kernel::Accumulate<float>{x.data(), own.data()});  // starts at zero
        device.for_each(1000, kernel::Accumulate<float>{own.data(), x.data()});
      }
    });
  CHECK(seen(device, x.data(), 1000) == std::vector<float>(1000, 64));
  device.system().wait();
}

TEST_CASE("an upload, a download and an error of one's own end a recording, and the device goes on") {
  Cuda<float> device;
  auto x = there(device, std::vector<float>{1, 2, 3});
  const auto step = [&](int what) {
    device.record([&] {
      device.for_each(3, Multiply{x.data(), 2});
      float y = 5;
      if (what == 1) device.upload(x.data(), &y, 1);
      if (what == 2) device.download(x.data(), &y, 1);
      if (what == 3) throw std::runtime_error("of one's own");
    });
  };
  step(0), step(0);
  CHECK_THROWS_AS(step(1), Error);
  CHECK_THROWS_AS(step(2), Error);
  CHECK_THROWS_AS(step(3), std::runtime_error);
  step(0);
  CHECK(seen(device, x.data(), 3) == std::vector<float>{8, 16, 24});  // what was only recorded has not run
}
