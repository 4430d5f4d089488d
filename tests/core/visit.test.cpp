// SPDX-License-Identifier: MIT
#include <algorithm>
#include <doctest/doctest.h>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/core/visit.hpp>
#include <espalier/nn/block.hpp>
#include <string>
#include <vector>

#include "oracle.hpp"

using namespace espalier;
using Device = test::Oracle<double>;

namespace {
const BlockOptions kOptions{.attention = {.hidden = 8, .heads = 2, .groups = 1, .head_dim = 4, .qkv_bias = true},
                            .feed_forward = 6};
}

TEST_CASE("a walk names every tensor as a checkpoint does, each once") {
  Device device;
  DecoderBlock<Device, LowRankAdapter> block(device, kOptions, "b", {.rank = 2});
  std::vector<std::string> names;
  for_each_tensor(block, [&](const std::string& name, auto&) { names.push_back(name); });
  const std::vector<std::string> expected{
      "input_layernorm.weight",   "self_attn.q_proj.weight", "self_attn.q_proj.bias",
      "self_attn.k_proj.weight",  "self_attn.k_proj.bias",   "self_attn.v_proj.weight",
      "self_attn.v_proj.bias",    "self_attn.o_proj.weight", "post_attention_layernorm.weight",
      "mlp.gate_proj.weight",     "mlp.up_proj.weight",      "mlp.down_proj.weight"};
  CHECK(names == expected);
  std::vector<std::string> parameters;
  for_each_parameter(block, [&](const std::string& name, auto&) { parameters.push_back(name); });
  CHECK(parameters.size() == 14);
  CHECK(parameters[0] == "self_attn.q_proj.lora_A.weight");
  CHECK(parameters[1] == "self_attn.q_proj.lora_B.weight");
  std::sort(parameters.begin(), parameters.end());
  CHECK(std::adjacent_find(parameters.begin(), parameters.end()) == parameters.end());
}

TEST_CASE("counting walks over what is there") {
  Device device;
  DecoderBlock<Device, LowRankAdapter> block(device, kOptions, "b", {.rank = 2, .targets = {"q_proj", "down_proj"}});
  CHECK(count_parameters(block) == 8 + (8 * 8 + 8) + 2 * (4 * 8 + 4) + 8 * 8 + 8 + 3 * 6 * 8);
  CHECK(count_trainable(block) == 2 * (8 + 8) + 2 * (6 + 8));
  int projections = 0;
  for_each_projection(block, [&](const std::string&, auto& p) { projections += p.weight.size() > 0; });
  CHECK(projections == 7);
}

TEST_CASE("a walk over a const module sees const members") {
  Device device;
  const DecoderBlock<Device, LowRankAdapter> block(device, kOptions, "b", {.rank = 2});
  for_each_tensor(block, [&](const std::string&, auto& t) {
    static_assert(std::is_const_v<std::remove_reference_t<decltype(t)>>);
  });
}
