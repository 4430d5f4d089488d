// SPDX-License-Identifier: MIT
#include <cstdint>
#include <doctest/doctest.h>
#include <espalier/core/workspace.hpp>

#include "oracle.hpp"

using namespace espalier;

namespace {
/// Counts the buffers that a device is asked for.
struct Counting : test::Oracle<float> {
  int buffers = 0;
  template <class U>
  struct Buffer : HostBuffer<U> {
    Buffer() = default;
    Buffer(Counting& device, Index n) : HostBuffer<U>(device, n) { ++device.buffers; }
  };
};
static_assert(Backend<Counting>);

void trip(Workspace<Counting>& workspace, Index n) {
  Pass<Counting> pass(workspace, {1, n});
  auto x = pass.matrix(n, 1000);
  for (int i = 0; i < 5; ++i) {
    auto scratch = pass.scratch();
    auto y = scratch.matrix(n, 500);
    CHECK(y.data != x.data);
  }
  pass.vector<double>(n);
}
}  // namespace

TEST_CASE("after its first pass a workspace allocates nothing") {
  Counting device;
  Workspace<Counting> workspace(device);
  trip(workspace, 2000);
  const int first = device.buffers;
  CHECK(first > 1);  // pieces while measuring, then one block
  for (int i = 0; i < 10; ++i) trip(workspace, 2000);
  trip(workspace, 100);
  CHECK(device.buffers == first);
  trip(workspace, 3000);  // a larger batch measures again
  CHECK(device.buffers > first);
  const int second = device.buffers;
  trip(workspace, 3000);
  CHECK(device.buffers == second);
}

TEST_CASE("peak counts what is alive at once, not what was ever taken") {
  Counting device;
  Workspace<Counting> workspace(device);
  {
    Pass<Counting> pass(workspace, {1, 1});
    for (int i = 0; i < 100; ++i) pass.scratch().matrix(16, 16);
  }
  CHECK(workspace.peak() == 16 * 16 * 4);
}

TEST_CASE("everything taken is aligned, apart, and zeroed where asked") {
  Counting device;
  Workspace<Counting> workspace(device);
  Pass<Counting> pass(workspace, {1, 1});
  auto a = pass.matrix(3, 3);
  for (Index i = 0; i < a.size(); ++i) a.data[i] = 7;
  auto b = pass.zeros(3, 3);
  CHECK(reinterpret_cast<std::uintptr_t>(a.data) % 64 == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(b.data) % 64 == 0);
  for (Index i = 0; i < b.size(); ++i) CHECK(b.data[i] == 0);
  for (Index i = 0; i < a.size(); ++i) CHECK(a.data[i] == 7);
}
