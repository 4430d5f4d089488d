// SPDX-License-Identifier: MIT
// Whole GGUF files against those that the reference writer makes of the same checkpoints: tests/python/make_gguf_golden.py.
#include <doctest/doctest.h>
#include <espalier/io/json_file.hpp>
#include <espalier/io/sha256.hpp>
#include <espalier/model/save_gguf.hpp>
#include <espalier/nn/merge.hpp>

#include "compiled_files.hpp"
#include "compiled_gpt2.hpp"
#include "golden.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using esp::Index, esp::Layout;
using esp::test::golden_directory, esp::test::slurp, esp::test::TemporaryDirectory;
using Device = esp::Cpu<float>;
using Model = esp::Llama<Device, esp::LowRankAdapter>;

namespace {

/// Units that leave: the same rule stands in tests/python/make_gguf_golden.py.
template <class M>
void prune_some(M& model) {
  model.groups([&](auto&& group) {
    std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
    for (std::size_t u = std::size_t(group.layer); u + 1 < alive.size(); u += 3 - std::size_t(group.layer % 2)) alive[u] = 0;
    group.mask->set(model.device(), alive);
  });
}

const esp::json::Value& sums() {
  static const auto all = esp::json::read_file(std::string(ESPALIER_TEST_DATA) + "/gguf/files.json");
  return all;
}

}  // namespace

TEST_CASE("checkpoints become the reference writer's files, bit for bit") {
  for (const auto& file : sums().members()) {
    const std::string &name = file.key, &sum = file.value.as_string();
    if (name.starts_with("tokenizer/")) continue;
    CAPTURE(name);
    const std::size_t slash = name.find('/');
    const std::string how = slash == std::string::npos ? "" : name.substr(slash + 1);
    Device device;
    auto model = esp::load<Model>(device, golden_directory(name.substr(0, slash)), {.rank = 1});
    if (!how.empty()) prune_some(model);
    const TemporaryDirectory folder;
    const auto report = esp::save_gguf(model, folder / "x.gguf", {.layout = how == "padded" ? Layout::padded : Layout::automatic});
    CHECK(esp::sha256_of_file(folder / "x.gguf") == sum);
    CHECK(report.layout == (how == "deci" ? Layout::compact : how == "padded" ? Layout::padded : Layout::uniform));
    CHECK(report.model_type == (how == "deci" ? "deci" : name.starts_with("qwen") ? name.substr(0, 5) : "llama"));
    CHECK(folder.entries() == 1);
    // A model that has been compacted is written as the masked one was, also through a directory that keeps its shapes.
    if (how != "deci") continue;
    esp::save(model, folder / "hf", {.layout = Layout::compact});
    auto again = esp::load<Model>(device, folder / "hf");
    again.source.directory = model.source.directory;  // whose name is in the file
    esp::save_gguf(again, folder / "again.gguf");
    CHECK(esp::sha256_of_file(folder / "again.gguf") == sum);
  }
}

TEST_CASE("adapters are merged on the way, as they are merged in memory") {
  Device device;
  const std::string directory = golden_directory("llama-gqa");
  auto model = esp::load<Model>(device, directory, {.rank = 2});
  const TemporaryDirectory folder;
  esp::save_gguf(model, folder / "dense.gguf");
  esp::load_adapter(model, directory + "/adapter");
  esp::save_gguf(model, folder / "apart.gguf");
  esp::merge(model);
  esp::save_gguf(model, folder / "merged.gguf");
  CHECK((slurp(folder / "apart.gguf") == slurp(folder / "merged.gguf")));
  CHECK((slurp(folder / "apart.gguf") != slurp(folder / "dense.gguf")));
}

TEST_CASE("weights are written in the type that is asked for, vectors in F32") {
  Device device;
  auto model = esp::load<Model>(device, golden_directory("llama-gqa"));
  const TemporaryDirectory folder;
  const auto whole = esp::save_gguf(model, folder / "32.gguf"), half = esp::save_gguf(model, folder / "16.gguf", {.dtype = esp::Dtype::f16}),
             brief = esp::save_gguf(model, folder / "b16.gguf", {.dtype = esp::Dtype::bf16});
  const std::uint64_t vectors = 5 * 24 * 4;
  CHECK(whole.parameters == esp::count_parameters(model));
  CHECK(half.parameters == whole.parameters);
  CHECK(half.bytes == (whole.bytes - vectors) / 2 + vectors);
  CHECK(brief.bytes == half.bytes);
  CHECK_THROWS_WITH_AS(esp::save_gguf(model, folder / "64.gguf", {.dtype = esp::Dtype::f64}), doctest::Contains("F32, F16 and BF16, not F64"), esp::Error);
  CHECK(folder.entries() == 3);
}

TEST_CASE("what GGUF cannot say is refused by name, and nothing is written") {
  Device device;
  const TemporaryDirectory folder;
  const auto refused = [&](const char* name, Layout layout, bool uneven, const char* words) {
    CAPTURE(name);
    auto model = esp::load<Model>(device, golden_directory(name));
    if (uneven) prune_some(model);
    CHECK_THROWS_WITH_AS(esp::save_gguf(model, folder / "x.gguf", {.layout = layout}), doctest::Contains(words), esp::Error);
  };
  refused("qwen3", Layout::compact, true, "deci, which has no norms on q and k");
  refused("qwen2", Layout::compact, true, "deci, which has no biases");
  refused("llama-bias", Layout::compact, true, "deci, which has no biases");
  refused("llama-gqa", Layout::uniform, true, "layers of one shape, but channels of layers 0: ");
  {
    auto model = esp::load<Model>(device, golden_directory("qwen2"));
    model.groups([&](auto&& g) {
      if (g.kind == "heads") g.mask->set(device, {1, 0});
    });
    CHECK_THROWS_WITH_AS(esp::save_gguf(model, folder / "x.gguf"), doctest::Contains("2 heads of 6 are not hidden_size 24"), esp::Error);
    model.groups([&](auto&& g) {
      if (g.kind == "channels" && g.layer == 1) g.mask->set(device, std::vector<std::uint8_t>(std::size_t(g.units()), 0));
    });
    CHECK_THROWS_WITH_AS(esp::save_gguf(model, folder / "x.gguf"), doctest::Contains("layer 1 channels: every unit is masked"), esp::Error);
  }
  const auto config = [](auto change) {
    esp::LlamaConfig c{.vocab = 8, .hidden = 8, .layers = 1, .heads = 2, .groups = 2, .head_dim = 4, .feed_forward = 4};
    change(c);
    return c;
  };
  const auto impossible = [&](const esp::LlamaConfig& c, const char* words) {
    Model model(device, c);
    CHECK_THROWS_WITH_AS(esp::save_gguf(model, folder / "x.gguf"), doctest::Contains(words), esp::Error);
  };
  impossible(config([](auto& c) { c.qk_norm = c.qkv_bias = c.out_bias = true; }), "no architecture of GGUF");
  impossible(config([](auto& c) { c.qkv_bias = c.feed_forward_bias = true; }), "no architecture of GGUF");
  impossible(config([](auto& c) { c.qk_norm = true, c.rotary.scaling = esp::RotaryOptions::Scaling::llama3; }), "no rope scaling of type llama3");
  esp::Cpu<float> other;
  auto gpt2 = esp::load<esp::test::CpuGpt2<float>>(other, golden_directory("gpt2"));
  CHECK_THROWS_WITH_AS(esp::save_gguf(gpt2, folder / "x.gguf"), doctest::Contains("GGUF is written for the Llama family"), esp::Error);
  CHECK(folder.entries() == 0);
}

TEST_CASE("only a GGUF file is replaced, and only when that is asked for") {
  Device device;
  auto model = esp::load<Model>(device, golden_directory("llama-tied"));
  const TemporaryDirectory folder;
  esp::save_gguf(model, folder / "x.gguf");
  CHECK_THROWS_WITH_AS(esp::save_gguf(model, folder / "x.gguf"), doctest::Contains("exists already"), esp::Error);
  esp::save_gguf(model, folder / "x.gguf", {.dtype = esp::Dtype::f16, .overwrite = true});
  esp::test::spill(folder / "letter.txt", "Dear reader");
  CHECK_THROWS_WITH_AS(esp::save_gguf(model, folder / "letter.txt", {.overwrite = true}), doctest::Contains("no GGUF file"), esp::Error);
  CHECK(slurp(folder / "letter.txt") == "Dear reader");
  CHECK_THROWS_WITH_AS(esp::save_gguf(model, folder / ""), doctest::Contains("a GGUF is one file"), esp::Error);
}
