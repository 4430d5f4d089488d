// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/backend/meta.hpp>
#include <espalier/model/llama.hpp>

#include "oracle.hpp"

using namespace espalier;
using Device = test::Oracle<double>;

TEST_CASE("a mask is what the host says, and straight-through hides it from backward only") {
  Device device;
  UnitMask<Device> mask(device, 4);
  CHECK_FALSE(mask.masked());
  mask.set(device, {1, 0, 1, 0});
  CHECK(mask.masked());
  CHECK(mask.forward()(1) == 0);
  CHECK(mask.backward()(1) == 0);
  mask.set(device, {1, 0, 1, 0}, /*straight_through=*/true);
  CHECK(mask.forward()(1) == 0);
  CHECK(mask.backward()(1) == 1);
  CHECK_THROWS_AS(mask.set(device, {1, 0}), Error);
}

TEST_CASE("compaction remembers where units came from, over several events") {
  Device device;
  UnitMask<Device> mask(device, 6);
  mask.set(device, {1, 0, 1, 1, 0, 1});
  mask.compact(device);
  CHECK(mask.origin() == std::vector<int>{0, 2, 3, 5});
  CHECK(mask.full() == 6);
  CHECK_FALSE(mask.masked());
  mask.set(device, {0, 1, 1, 0});
  mask.compact(device);
  CHECK(mask.origin() == std::vector<int>{2, 3});
  CHECK(mask.full() == 6);
}

TEST_CASE("what leaves with a unit follows from the shapes: MHA, GQA, biases") {
  Meta<> meta;
  LlamaConfig c;  // LLaMA-7B
  Llama<Meta<>, Frozen> mha(meta, c);
  std::vector<Index> costs;
  mha.groups([&](auto g) { costs.push_back(g.cost()); });
  CHECK(costs.size() == 64);
  CHECK(costs[0] == 4 * 128 * 4096);
  CHECK(costs[1] == 3 * 4096);
  c.groups = 8, c.qkv_bias = true, c.out_bias = true, c.feed_forward_bias = true, c.layers = 1;
  Llama<Meta<>, Frozen> gqa(meta, c);
  costs.clear();
  gqa.groups([&](auto g) { costs.push_back(g.cost()); });
  CHECK(costs[0] == 2 * 128 * 4097 + 4 * 128 * 4097 + 4 * 128 * 4096);
  CHECK(costs[1] == 2 * 4097 + 4096);
}
