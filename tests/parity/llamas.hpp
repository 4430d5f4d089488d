// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/adapter/low_rank.hpp>
#include <espalier/model/llama.hpp>

#include "parity/case.hpp"

namespace espalier::test::parity {

struct NamedLlama {
  const char* name;
  LlamaConfig config;
};

/// One small Llama of every shape that the family has.
inline std::vector<NamedLlama> small_llamas() {
  const LlamaConfig base{.vocab = 29, .hidden = 16, .layers = 2, .heads = 4, .groups = 4, .head_dim = 4, .feed_forward = 22};
  const auto with = [&](auto change) {
    LlamaConfig c = base;
    change(c);
    return c;
  };
  return {{"multi-head", base},
          {"grouped queries", with([](auto& c) { c.groups = 2; })},
          {"one key-value head", with([](auto& c) { c.groups = 1; })},
          {"biases on q, k, v", with([](auto& c) { c.groups = 2, c.qkv_bias = true; })},
          {"all biases", with([](auto& c) { c.groups = 2, c.qkv_bias = c.out_bias = c.feed_forward_bias = true; })},
          {"tied", with([](auto& c) { c.tied = true; })},
          {"wide heads", with([](auto& c) { c.groups = 2, c.head_dim = 6; })},
          {"norms on q and k", with([](auto& c) { c.groups = 2, c.qk_norm = true; })}};
}

/// A batch of tokens that depends on the seed alone; some targets do not count.
struct Tokens {
  std::vector<int> tokens, targets;
  Shape shape;
  Tokens(Index vocab, Shape s, std::uint64_t seed = 1) : shape(s) {
    const RandomStream stream{seed, Purpose::test};
    for (Index i = 0; i < s.tokens(); ++i) {
      tokens.push_back(int(stream.bits(std::uint64_t(2 * i)) % std::uint32_t(vocab)));
      targets.push_back(i % 9 == 4 ? kIgnore : int(stream.bits(std::uint64_t(2 * i + 1)) % std::uint32_t(vocab)));
    }
  }
  operator Batch() const { return {tokens, targets, shape}; }
};

/// Everything in a model, numbers and all, as a function of the seed. Embeddings are large beside what blocks add.
template <class Device>
Llama<Device, LowRankAdapter> random_llama(Device& device, const LlamaConfig& config, const LowRankOptions& adapter) {
  Llama<Device, LowRankAdapter> model(device, config, adapter);
  randomise(device, model, 7, kCalm);
  auto& embedding = model.model.embed_tokens;
  device.upload(embedding.view().data, drawn<typename Device::Weight>(embedding.size(), 8, 1).data(), embedding.size());
  std::uint32_t number = 0;
  for_each_projection(model, [&](const std::string&, auto& p) { p.adapter.stream = number++; });
  model.run.step.seed = 5;
  return model;
}
template <class Model>
void clear_gradients(Model& model) {
  using A = typename Model::A;
  model.device().for_each(model.run.arena.size(), kernel::Fill<A>{model.run.arena.grad(), A(0)});
}

/// Every k-th unit of every group leaves.
template <class Model>
void mask_every(Model& model, Index k, bool straight_through = false) {
  model.groups([&](auto group) {
    if (group.units() > 1) group.mask->set(model.device(), all_but_every(k, group.units()), straight_through);
  });
}

}  // namespace espalier::test::parity
