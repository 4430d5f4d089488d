// SPDX-License-Identifier: MIT
#include <espalier/kernel/elementwise.hpp>
#include <numeric>
#include <string>
#include <utility>

#include "device.hpp"

using namespace espalier;
using namespace espalier::test;

static_assert(Backend<Cuda<float>>);
static_assert(Backend<Cuda<BFloat16>>);
static_assert(Backend<Cuda<double>>);
static_assert(Backend<Cuda<float, BFloat16>>);

namespace {

struct Count {
  int* x;
  ESPALIER_FN void operator()(Index i) const { x[i] = int(i); }
};

}  // namespace

TEST_CASE("with and without a device: one that is not there is refused and the message says what to do") {
  try {
    Cuda<float> device({.device = 999});
    FAIL("a device that nobody has was opened");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::resources);
    const std::string text = error.what();
    CHECK(text.find("CUDA") != std::string::npos);
    CHECK((text.find("999") != std::string::npos || text.find("nvidia-smi") != std::string::npos));
  }
}

TEST_CASE("a buffer starts at zero, whatever lay there before") {
  Cuda<float> device;
  for (int round = 0; round < 3; ++round) {
    Cuda<float>::Buffer<int> buffer(device, 100003);
    CHECK(seen(device, buffer.data(), buffer.size()) == std::vector<int>(100003, 0));
    device.for_each(buffer.size(), Count{buffer.data()});
    std::vector<int> want(100003);
    std::iota(want.begin(), want.end(), 0);
    CHECK(seen(device, buffer.data(), buffer.size()) == want);
  }
}

TEST_CASE("a buffer moves, and outlives the device it came from") {
  Cuda<float>::Buffer<int> buffer;
  {
    Cuda<float> device;
    Cuda<float>::Buffer<int> first(device, 5), second(device, 7);
    second = std::move(first);
    CHECK(second.size() == 5);
    CHECK(first.size() == 0);
    buffer = std::move(second);
  }
  CHECK(buffer.data() != nullptr);
}

TEST_CASE("what is uploaded may be changed at once") {
  Cuda<float> device;
  Cuda<float>::Buffer<int> buffer(device, 1000);
  std::vector<int> x(1000), want(1000);
  for (int round = 0; round < 5000; ++round) {  // more than wait in the ring
    const int at = round % 1000;
    x[0] = want[std::size_t(at)] = round;
    device.upload(buffer.data() + at, x.data(), 1);
    x[0] = -1;
  }
  CHECK(seen(device, buffer.data(), 1000) == want);
}

TEST_CASE("an upload larger than the ring arrives whole") {
  Cuda<float> device;
  const Index n = (Index{100} << 20) / 4 + 12345;
  std::vector<int> x(static_cast<std::size_t>(n));
  std::iota(x.begin(), x.end(), 0);
  Cuda<float>::Buffer<int> buffer(device, n);
  device.upload(buffer.data(), x.data(), n);
  CHECK(seen(device, buffer.data(), n) == x);
}

TEST_CASE("memory that there is not is refused with its size, and the device goes on") {
  Cuda<float> device;
  try {
    Cuda<float>::Buffer<std::byte> everything(device, Index{1} << 50);
    FAIL("a pebibyte was given");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::resources);
    CHECK(std::string(error.what()).find("1125899906842624 bytes") != std::string::npos);
  }
  Cuda<float>::Buffer<int> some(device, 3);
  device.for_each(3, Count{some.data()});
  CHECK(seen(device, some.data(), 3) == std::vector<int>{0, 1, 2});
}

TEST_CASE("memory in use and its peak are told") {
  Cuda<float> device;
  const Index before = device.system().memory_used();
  {
    Cuda<float>::Buffer<std::byte> buffer(device, Index{10} << 20);
    CHECK(device.system().memory_used() - before >= Index{10} << 20);
  }
  device.system().wait();
  CHECK(device.system().memory_used() == before);
  CHECK(device.system().memory_peak() - before >= Index{10} << 20);
}
