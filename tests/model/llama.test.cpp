// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/backend/meta.hpp>
#include <espalier/model/llama.hpp>

#include "allocations.hpp"
#include "compiled_llama.hpp"
#include "gradients.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

const std::vector<int> kTokens{1, 2, 3, 4, 0, 5, 6, 7, 2, 1}, kTargets{2, 3, -100, 0, 5, 6, 7, 2, 1, 3};
const Batch kBatch{kTokens, kTargets, {2, 5}};

LlamaConfig tiny(Index heads, Index groups, bool biased, bool tied, bool qk_norm) {
  LlamaConfig c;
  c.vocab = 11, c.hidden = 12, c.layers = 2, c.heads = heads, c.groups = groups, c.head_dim = 6, c.feed_forward = 10;
  c.qkv_bias = c.out_bias = c.feed_forward_bias = biased;
  c.tied = tied, c.qk_norm = qk_norm;
  return c;
}

template <class Device>
auto make(Device& device, const LlamaConfig& c, const LowRankOptions& o = {.rank = 3, .alpha = 6}) {
  Llama<Device, LowRankAdapter> m(device, c, o);
  randomise(m, 1);
  return m;
}

template <class Model>
std::vector<std::vector<double>> gradients(Model& m) {
  std::vector<std::vector<double>> g;
  for_each_parameter(m, [&](const std::string&, auto& p) { g.emplace_back(p.grad.data, p.grad.data + p.size()); });
  return g;
}

const LlamaConfig kConfigs[] = {tiny(2, 2, false, false, false), tiny(4, 2, true, false, false),
                                tiny(4, 1, false, true, false), tiny(4, 2, false, true, true)};

}  // namespace

TEST_CASE("gradients of the whole model agree with the complex step to rounding, masked or not, recomputed or not") {
  Real real;
  Complex complex;
  for (const auto& config : kConfigs)
    for (bool masked : {false, true}) {
      auto m = make(real, config);
      auto c = make(complex, config);
      if (masked) {
        m.blocks()[1].mlp.units.set(real, {1, 1, 0, 1, 1, 1, 0, 1, 1, 1});
        c.blocks()[1].mlp.units.set(complex, {1, 1, 0, 1, 1, 1, 0, 1, 1, 1});
        if (config.groups == 2) m.blocks()[0].self_attn.units.set(real, {1, 0});
        if (config.groups == 2) c.blocks()[0].self_attn.units.set(complex, {1, 0});
      }
      const double loss = m.loss(kBatch);
      CHECK(loss == doctest::Approx(c.evaluate(kBatch).value().real()).epsilon(1e-13));
      const auto got = gradients(m);
      std::size_t i = 0;
      for_each_parameter(c, [&](const std::string& name, auto& p) {
        std::vector<double> exact;
        for (Index k = 0; k < p.size(); ++k) {
          auto& v = p.value.data[k];
          v += std::complex<double>(0, 1e-50);
          exact.push_back(c.evaluate(kBatch).value().imag() / 1e-50);
          v = v.real();
        }
        CAPTURE(name);
        CHECK(relative_error(got[i++], exact) <= 1e-12);
      });
      auto again = make(real, config);
      again.recompute = true;
      if (masked) again.blocks()[1].mlp.units.set(real, {1, 1, 0, 1, 1, 1, 0, 1, 1, 1});
      if (masked && config.groups == 2) again.blocks()[0].self_attn.units.set(real, {1, 0});
      again.loss(kBatch);
      CHECK(gradients(again) == got);
    }
}

TEST_CASE("with dropout of probabilities gradients are the loss's, recomputed too, and compacted heads drop what they dropped when masked") {
  Real real;
  Complex complex;
  LlamaConfig config = tiny(4, 2, false, false, true);
  config.attention_dropout = 0.4;
  auto m = make(real, config);
  auto c = make(complex, config);
  const double loss = m.loss(kBatch), plain = m.evaluate(kBatch);
  CHECK(std::abs(loss - plain) > 1e-3);
  const auto got = gradients(m);
  std::size_t i = 0;
  for_each_parameter(c, [&](const std::string& name, auto& p) {
    std::vector<double> exact, mine;
    for (Index k = 0; k < p.size(); k += 7) {  // backward runs along
      auto& v = p.value.data[k];
      v += std::complex<double>(0, 1e-50);
      exact.push_back(c.loss(kBatch).value().imag() / 1e-50);
      v = v.real();
      mine.push_back(got[i][std::size_t(k)]);
    }
    ++i;
    CAPTURE(name);
    CHECK(relative_error(mine, exact) <= 1e-12);
  });
  auto again = make(real, config);
  again.recompute = true;
  again.loss(kBatch);
  CHECK(gradients(again) == got);

  for (const Granularity granularity : {Granularity::groups, Granularity::queries}) {
    auto cut = make(real, config);
    cut.prune_by(granularity);
    CHECK(double(cut.loss(kBatch)) == loss);  // a head is the same head, whatever leaves
    for (auto& block : cut.blocks())
      block.self_attn.units.set(real, granularity == Granularity::groups ? std::vector<std::uint8_t>{0, 1} : std::vector<std::uint8_t>{0, 1, 1, 0});
    const double masked = cut.loss(kBatch);
    compact(cut);
    CHECK(double(cut.loss(kBatch)) == doctest::Approx(masked).epsilon(1e-13));
    CHECK(std::abs(masked - loss) > 1e-3);
  }
}

TEST_CASE("Cpu agrees with the oracle, in double to rounding and in float to its precision") {
  Real real;
  Cpu<double> wide;
  Cpu<float> narrow;
  for (const auto& config : kConfigs) {
    auto r = make(real, config);
    auto d = make(wide, config);
    auto f = make(narrow, config);
    const double loss = r.loss(kBatch);
    CHECK(double(d.loss(kBatch)) == doctest::Approx(loss).epsilon(1e-12));
    CHECK(double(f.loss(kBatch)) == doctest::Approx(loss).epsilon(2e-6));
    const auto exact = gradients(r), in_double = gradients(d), in_float = gradients(f);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      CHECK(relative_error(in_double[i], exact[i]) <= 1e-12);
      CHECK(relative_error(in_float[i], exact[i]) <= 5e-5);
    }
  }
}

TEST_CASE("accumulated micro-batches give the gradients of the whole batch") {
  Real real;
  auto whole = make(real, kConfigs[1]);
  auto parts = make(real, kConfigs[1]);
  const double loss = whole.loss(kBatch);
  double sum = 0;
  for (std::uint32_t b = 0; b < 2; ++b) {
    const std::span tokens(kTokens), targets(kTargets);
    sum += parts.loss({tokens.subspan(5 * b, 5), targets.subspan(5 * b, 5), {1, 5}, 1.0 / 9, b});
  }
  CHECK(sum == doctest::Approx(loss).epsilon(1e-13));
  const auto a = gradients(whole), b = gradients(parts);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(relative_error(b[i], a[i]) <= 1e-13);
}

TEST_CASE("gradients reach the lowest block that learns and no further") {
  Real real;
  auto all = make(real, kConfigs[0]);
  auto top = make(real, kConfigs[0], {.rank = 3, .alpha = 6, .targets = {"layers.1.mlp.down_proj"}});
  CHECK(count_trainable(top) == 3 * (10 + 12));
  for_each_parameter(all, [&](const std::string& name, auto& p) {  // the same model, most adapters silent
    if (name.find("layers.1.mlp.down_proj") == std::string::npos) fill(p.value.data, p.size(), 0, 0);
  });
  std::vector<std::vector<double>> values;
  for_each_parameter(all, [&](const std::string& name, auto& p) {
    if (name.find("layers.1.mlp.down_proj") != std::string::npos) values.emplace_back(p.value.data, p.value.data + p.size());
  });
  std::size_t i = 0;
  for_each_parameter(top, [&](const std::string&, auto& p) { std::copy(values[i].begin(), values[i].end(), p.value.data), ++i; });
  for_each_tensor(all, [&](const std::string& name, auto& t) {  // randomise numbers tensors by position: copy them
    for_each_tensor(top, [&](const std::string& other, auto& u) {
      if constexpr (std::is_same_v<decltype(t), decltype(u)>)
        if (name == other) std::copy_n(t.view().data, t.size(), u.view().data);
    });
  });
  CHECK(double(all.loss(kBatch)) == doctest::Approx(double(top.loss(kBatch))).epsilon(1e-13));
  const auto a = gradients(all), b = gradients(top);
  CHECK(relative_error(b[0], a[a.size() - 2]) <= 1e-13);
  CHECK(relative_error(b[1], a[a.size() - 1]) <= 1e-13);
}

TEST_CASE("the loss of a large vocabulary is the same in pieces") {
  Cpu<double> device;
  LlamaConfig c = tiny(2, 2, false, false, false);
  c.vocab = 70000;  // 59 rows of logits at a time
  Llama<Cpu<double>, LowRankAdapter> m(device, c, {.rank = 2});
  randomise(m, 3, 0.3);
  std::vector<int> tokens, targets;
  for (int i = 0; i < 70; ++i) tokens.push_back(i * 941 % 70000), targets.push_back(i % 7 ? i * 9973 % 70000 : -100);
  const Shape shape{2, 35};
  const double loss = m.evaluate({tokens, targets, shape});
  const auto logits = m.logits(tokens, shape);
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < 70; ++i) {
    if (targets[i] < 0) continue;
    const double* row = logits.data() + Index(i) * 70000;
    double total = 0;
    for (Index j = 0; j < 70000; ++j) total += std::exp(row[j]);
    sum += std::log(total) - row[targets[i]], ++count;
  }
  CHECK(loss == doctest::Approx(sum / count).epsilon(1e-12));
  const Index panel = 59 * 70000 * 8;
  CHECK(logit_rows(70000, 70) == 59);
  CHECK(m.run.workspace.peak() < panel * 3 / 2);
  CHECK(double(m.loss({tokens, targets, shape})) == doctest::Approx(loss).epsilon(1e-12));  // now with gradients
  CHECK(m.run.workspace.peak() < panel * 3 / 2);
  CHECK(bytes_on_a_new_thread([&] { (void)m.loss({tokens, targets, shape}); }) < panel / 2);
}

TEST_CASE("memory of a step grows no faster than the sequence: scores of all pairs of tokens are nowhere") {
  Cpu<double> device;
  auto m = make(device, kConfigs[1]);
  const auto measure = [&](Index seq) {
    std::vector<int> tokens(std::size_t(seq), 3);
    const Batch batch{tokens, tokens, {1, seq}};
    m.run.workspace.reset();
    for (int i = 0; i < 2; ++i) (void)m.loss(batch);  // the workspace becomes one block
    return std::pair{m.run.workspace.peak(), bytes_on_a_new_thread([&] { (void)m.loss(batch); })};
  };
  const auto some = measure(256), more = measure(1024);
  CHECK(some.first > 0);
  CHECK(more.first <= 4 * some.first);
  CHECK(more.first < 4 * 1024 * 1024 * 8 / 2);  // half of the scores of one layer
  CHECK(some.second > 0);
  CHECK(more.second == some.second);  // of tiles and blocks, whatever there is to attend to
}

TEST_CASE("a batch whose targets are all ignored has loss zero and no gradient") {
  Real real;
  auto m = make(real, kConfigs[0]);
  const std::vector<int> none(10, -100);
  CHECK(double(m.loss({kTokens, none, {2, 5}})) == 0);
  for (const auto& g : gradients(m))
    for (double x : g) CHECK(x == 0);
}

TEST_CASE("a model can be counted without memory") {
  Meta<> meta;
  Llama<Meta<>, Frozen> llama7b(meta, {});
  CHECK(count_parameters(llama7b) == 6738415616);
}

TEST_CASE("weights stored as bf16 compute what their rounded values compute") {
  Cpu<float, BFloat16> stored;
  Cpu<float> plain;
  Llama<Cpu<float, BFloat16>, LowRankAdapter> a(stored, kConfigs[1], {.rank = 3});
  Llama<Cpu<float>, LowRankAdapter> b(plain, kConfigs[1], {.rank = 3});
  std::uint64_t seed = 5;
  std::vector<std::vector<float>> values;
  for_each_tensor(b, [&](const std::string&, auto& t) {
    fill(t.view().data, t.size(), ++seed);
    for (Index i = 0; i < t.size(); ++i) t.view().data[i] = BFloat16(t.view().data[i]);
    values.emplace_back(t.view().data, t.view().data + t.size());
  });
  std::size_t i = 0;
  for_each_tensor(a, [&](const std::string&, auto& t) {
    using Element = typename std::remove_cvref_t<decltype(t)>::Element;
    for (Index k = 0; k < t.size(); ++k) t.view().data[k] = Element(values[i][std::size_t(k)]);
    ++i;
  });
  for (auto* parameters : {&a.run.arena}) fill(parameters->value(), parameters->size(), 9);
  fill(b.run.arena.value(), b.run.arena.size(), 9);
  CHECK(double(a.loss(kBatch)) == doctest::Approx(double(b.loss(kBatch))).epsilon(1e-6));
  const auto ga = gradients(a), gb = gradients(b);
  for (std::size_t k = 0; k < ga.size(); ++k) CHECK(relative_error(ga[k], gb[k]) <= 1e-5);
}
