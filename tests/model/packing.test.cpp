// SPDX-License-Identifier: MIT
// Several documents in a sequence: what transformers computes from them, and what each of them is by itself.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "compiled_files.hpp"
#include "compiled_gpt2.hpp"
#include "golden.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

/// tests/python/make_packed_golden.py
struct PackedGolden {
  explicit PackedGolden(const std::string& name)
      : directory(golden_directory(name)), file(std::string(ESPALIER_TEST_DATA) + "/packed/" + name + ".safetensors"), tokens(integers("input_ids")),
        positions(integers("position_ids")), targets(integers("labels")), shape{file.info("input_ids").shape[0], file.info("input_ids").shape[1]} {
    for (Index b = 0; b < shape.batch; ++b)  // what is to be found is the next label
      for (Index t = 0; t < shape.seq; ++t) {
        const auto i = std::size_t(b * shape.seq + t);
        targets[i] = t + 1 < shape.seq ? targets[i + 1] : kIgnore;
      }
  }
  std::vector<int> integers(const std::string& name) const {
    std::vector<std::int64_t> x(std::size_t(file.info(name).elements()));
    file.read(name, std::as_writable_bytes(std::span(x)));
    return {x.begin(), x.end()};
  }
  std::vector<double> numbers(const std::string& name) const {
    std::vector<double> x(std::size_t(file.info(name).elements()));
    file.read_numbers(name, std::span(x));
    return x;
  }
  Batch batch() const { return {.tokens = tokens, .targets = targets, .shape = shape, .positions = positions}; }

  std::string directory;
  SafetensorsFile file;
  std::vector<int> tokens, positions, targets;
  Shape shape;
};

template <class Model>
void compare_with_transformers(const std::string& name, double bound) {
  CAPTURE(name);
  const PackedGolden golden(name);
  typename Model::DeviceType device;
  auto model = load<Model>(device, golden.directory, {.rank = 1});
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape, golden.positions), golden.numbers("logits64")) < bound);
  CHECK(double(model.evaluate(golden.batch())) == doctest::Approx(golden.numbers("loss64")[0]).epsilon(bound));
  load_adapter(model, golden.directory + "/adapter");
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape, golden.positions), golden.numbers("logits_adapter64")) < bound);
  CHECK(double(model.loss(golden.batch())) == doctest::Approx(golden.numbers("loss_adapter64")[0]).epsilon(bound));
}

template <class Model>
std::vector<std::vector<double>> gradients(Model& m) {
  std::vector<std::vector<double>> g;
  for_each_parameter(m, [&](const std::string&, auto& p) { g.emplace_back(p.grad.data, p.grad.data + p.size()); });
  return g;
}

/// Two sequences of documents, across tiles and blocks of attention, each token with the next one of its document to find.
struct Documents {
  std::vector<int> tokens, targets, positions;
  std::vector<Index> lengths{40, 1, 71, 3, 33, 2, 80, 70};  // 150 tokens a sequence
  Shape shape{2, 150};

  explicit Documents(Index vocab) {
    const RandomStream random{5, Purpose::test};
    for (const Index n : lengths)
      for (Index t = 0; t < n; ++t) {
        tokens.push_back(int(random.bits(tokens.size()) % std::uint32_t(vocab)));
        if (t > 0) targets.back() = tokens.back();
        targets.push_back(kIgnore);
        positions.push_back(int(t));
      }
  }
  Batch packed() const { return {.tokens = tokens, .targets = targets, .shape = shape, .positions = positions}; }
  double weight() const { return 1 / double(packed().counted()); }
};

/// Loss and gradients are sums over documents; logits are theirs, one behind the other.
template <class Model>
void compare_with_each_alone(Model& model, bool recompute) {
  const Documents all(model.config.vocab);
  REQUIRE(std::accumulate(all.lengths.begin(), all.lengths.end(), Index{0}) == all.shape.tokens());
  model.recompute = recompute;
  const auto clear = [&] { for_each_parameter(model, [](const std::string&, auto& p) { std::fill(p.grad.data, p.grad.data + p.size(), 0.0); }); };
  clear();
  double loss = 0;
  std::vector<double> logits;
  Index begin = 0;
  for (const Index n : all.lengths) {
    const auto tokens = std::span(all.tokens).subspan(std::size_t(begin), std::size_t(n));
    const auto targets = std::span(all.targets).subspan(std::size_t(begin), std::size_t(n));
    loss += double(model.loss({tokens, targets, {1, n}, all.weight()}));
    const auto own = model.logits(tokens, {1, n});
    logits.insert(logits.end(), own.begin(), own.end());
    begin += n;
  }
  const auto expected = gradients(model);
  clear();
  CHECK(double(model.loss(all.packed())) == doctest::Approx(loss).epsilon(1e-13));
  const auto got = gradients(model);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(relative_gap(got[i], expected[i]) < 1e-12);
  CHECK(relative_gap(model.logits(all.tokens, all.shape, all.positions), logits) < 1e-12);
  CHECK(relative_gap(model.logits(all.tokens, {4, 75}), logits) > 1e-2);  // and it matters
}

LlamaConfig llama() {
  return {.vocab = 17, .hidden = 12, .layers = 2, .heads = 4, .groups = 2, .head_dim = 6, .feed_forward = 10, .qk_norm = true};
}
Gpt2Config gpt2() {
  Gpt2Config c;
  c.vocab = 17, c.hidden = 12, c.layers = 2, c.heads = c.groups = 3, c.head_dim = 4, c.feed_forward = 10, c.max_positions = 80;
  c.dropout = c.attention_dropout = c.embedding_dropout = 0;
  return c;
}
template <class Model, class Config>
Model randomised(Cpu<double>& device, const Config& config) {
  Model model(device, config, {.rank = 3, .alpha = 6});
  randomise(model, 1);
  return model;
}

}  // namespace

TEST_CASE("logits and loss of several documents in a sequence are those that transformers has under a block-diagonal mask") {
  for (const char* name : {"llama-gqa", "qwen3"}) {
    compare_with_transformers<CpuLlama<double>>(name, 1e-12);
    compare_with_transformers<CpuLlama<float>>(name, 1e-5);
  }
  compare_with_transformers<CpuGpt2<double>>("gpt2", 1e-12);
  compare_with_transformers<CpuGpt2<float>>("gpt2", 1e-5);
}

TEST_CASE("a packed sequence is its documents, each by itself: logits, loss and the adapters' gradients") {
  Cpu<double> device;
  auto decoder = randomised<CpuLlama<double>>(device, llama());
  auto older = randomised<CpuGpt2<double>>(device, gpt2());
  for (const bool recompute : {false, true}) {
    compare_with_each_alone(decoder, recompute);
    compare_with_each_alone(older, recompute);
  }
  decoder.blocks()[0].self_attn.units.set(device, {1, 0});
  compare_with_each_alone(decoder, false);
}

TEST_CASE("a sequence that is said to be one document has the bits of one of which nothing is said") {
  Cpu<double> device;
  auto model = randomised<CpuLlama<double>>(device, llama());
  Documents all(17);
  for (std::size_t i = 0; i < all.positions.size(); ++i) all.positions[i] = int(i % 150);
  const double plain = model.loss({.tokens = all.tokens, .targets = all.targets, .shape = all.shape});
  const auto expected = gradients(model);
  for_each_parameter(model, [](const std::string&, auto& p) { std::fill(p.grad.data, p.grad.data + p.size(), 0.0); });
  CHECK(double(model.loss(all.packed())) == plain);
  CHECK(gradients(model) == expected);
}

TEST_CASE("a sequence may be longer than a model's positions, a document may not; positions that skip are refused") {
  Cpu<double> device;
  auto model = randomised<CpuGpt2<double>>(device, gpt2());
  Documents all(17);
  const auto refusal = [&] {
    try {
      static_cast<void>(double(model.evaluate(all.packed())));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refusal() == "");
  for (std::size_t i = 40; i < 112; ++i) all.positions[i] = int(i);
  CHECK(refusal().find("sequences of 112 tokens; this model has 80") != std::string::npos);
  all = Documents(17);
  all.positions[3] = 4;
  CHECK(refusal() == "batch: position 4 at token 3 of sequence 0; expected 0, which begins a document, or 3, which goes on with it");
  all = Documents(17);
  all.positions[150] = 1;
  CHECK(refusal() == "batch: position 1 at token 0 of sequence 1; expected 0, which begins a document");
  all.positions.pop_back();
  CHECK(refusal() == "batch: 299 positions, expected 2 x 150");
}
