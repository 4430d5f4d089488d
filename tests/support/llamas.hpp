// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/model/llama.hpp>
#include <utility>
#include <vector>

#include "compiled_llama.hpp"
#include "gradients.hpp"

namespace espalier::test {

struct NamedConfig {
  const char* name;
  LlamaConfig config;
};

/// One small Llama of every shape that the family has.
inline std::vector<NamedConfig> small_llamas() {
  const LlamaConfig base{
      .vocab = 13, .hidden = 8, .layers = 2, .heads = 4, .groups = 4, .head_dim = 2, .feed_forward = 10};
  const auto with = [&](auto change) {
    LlamaConfig c = base;
    change(c);
    return c;
  };
  return {
      {"multi-head", base},
      {"grouped queries", with([](auto& c) { c.groups = 2; })},
      {"one key-value head", with([](auto& c) { c.groups = 1; })},
      {"biases on q, k, v", with([](auto& c) { c.groups = 2, c.qkv_bias = true; })},
      {"all biases", with([](auto& c) { c.groups = 2, c.qkv_bias = c.out_bias = c.feed_forward_bias = true; })},
      {"tied", with([](auto& c) { c.tied = true; })},
      {"head_dim is not hidden / heads", with([](auto& c) { c.groups = 2, c.head_dim = 6; })},
      {"norms on q and k", with([](auto& c) { c.groups = 2, c.head_dim = 4, c.qk_norm = true; })},
  };
}

/// A batch of tokens that depends on the seed alone.
struct TokenBatch {
  std::vector<int> tokens, targets;
  Shape shape;
  TokenBatch(Index vocab, Shape s, std::uint64_t seed = 1) : shape(s) {
    const RandomStream stream{seed, Purpose::test};
    for (Index i = 0; i < s.tokens(); ++i) {
      tokens.push_back(int(stream.bits(std::uint64_t(2 * i)) % std::uint32_t(vocab)));
      targets.push_back(int(stream.bits(std::uint64_t(2 * i + 1)) % std::uint32_t(vocab)));
    }
  }
  operator Batch() const { return {tokens, targets, shape}; }
};

/// Everything in a model, numbers and all, as a function of the seed.
template <class Model>
Model random_llama(typename Model::DeviceType& device, const LlamaConfig& config,
                   const typename Model::AdapterOptions& adapter, std::uint64_t seed = 7) {
  Model model(device, config, adapter);
  randomise(model, seed);
  return model;
}

template <class T>
std::vector<double> as_doubles(const T* x, Index n) {
  return std::vector<double>(x, x + n);
}

}  // namespace espalier::test
