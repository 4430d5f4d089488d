// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <cstring>
#include <espalier/adapter/initialise.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/data/tokens.hpp>
#include <espalier/io/sha256.hpp>
#include <espalier/model/llama.hpp>
#include <string>
#include <vector>

namespace espalier::test {

/// A model of bytes with all that a bigger one has: grouped queries, a width that is no power of two.
inline LlamaConfig tiny_config() {
  return {.vocab = 256, .hidden = 32, .layers = 2, .heads = 4, .groups = 2, .head_dim = 8, .feed_forward = 40};
}
template <class Model>
void fill_base(Model& model, std::uint64_t seed = 11) {
  std::uint32_t number = 0;
  for_each_tensor(model, [&](const std::string& path, auto& t) {
    using W = std::remove_reference_t<decltype(*t.view().data)>;
    const RandomStream stream{seed, Purpose::test, number++};
    for (Index i = 0; i < t.size(); ++i) {
      const double x = 2 * stream.uniform(std::uint64_t(i)) - 1;
      t.view().data[i] = W(float(path.find("norm") != std::string::npos ? 1 + 0.1 * x : 0.3 * x));
    }
  });
}
template <class Device>
struct TinyModel : Llama<Device, LowRankAdapter> {
  explicit TinyModel(Device& device, const LowRankOptions& options = {.rank = 4}, std::uint64_t seed = 1,
                     const LlamaConfig& shape = tiny_config())
      : Llama<Device, LowRankAdapter>(device, shape, options) {
    fill_base(*this);
    initialise(*this, seed);
  }
};

/// A text with something to learn in it.
inline TokenFile tiny_text(int bytes = 6000) {
  std::vector<int> ids;
  std::uint32_t state = 1;
  while (int(ids.size()) < bytes) {
    state = state * 1664525u + 1013904223u;
    for (const char c : std::string(state >> 30 == 0 ? "prune " : state >> 30 == 1 ? "train " : "branches of a tree "))
      ids.push_back(c);
  }
  ids.resize(std::size_t(bytes));
  return TokenFile::of(std::move(ids), 0, "tiny text");
}

/// One hash over everything that changes in training: adapters, moments, masks and the state of the step.
template <class Model>
std::string hash_of_training(Model& model) {
  Sha256 hash;
  auto& arena = model.run.arena;
  const auto add = [&](const auto* x, Index n) { hash.update(std::as_bytes(std::span(x, std::size_t(n)))); };
  add(arena.value(), arena.size());
  for (int k = 0; k < arena.moments(); ++k) add(arena.moment(*model.run.device, k), arena.size());
  model.groups([&](auto g) { add(g.mask->alive().data(), g.units()), add(g.mask->origin().data(), g.units()); });
  add(&model.run.step.step, 1), add(&model.run.step.seed, 1);
  return hash.hex();
}

}  // namespace espalier::test
