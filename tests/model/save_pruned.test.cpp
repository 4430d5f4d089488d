// SPDX-License-Identifier: MIT
// Pruned models on their way to files: the function stays the same in every layout.
#include <doctest/doctest.h>

#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>

#include "compiled_files.hpp"
#include "foreign_json.hpp"
#include "golden.hpp"
#include "gradients.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using esp::Index;
using esp::test::Golden, esp::test::relative_gap, esp::test::slurp, esp::test::TemporaryDirectory;
using Device = esp::Cpu<double>;
using Model = esp::Llama<Device, esp::LowRankAdapter>;

namespace {

/// Removes units that a seed picks; `uniform`: the same number from every layer.
template <class M>
void mask_some(M& model, std::uint64_t seed, bool uniform) {
  model.groups([&](auto&& group) {
    const esp::RandomStream random{seed, esp::Purpose::test, std::uint32_t(group.layer * 2 + (group.kind == "heads"))};
    const Index n = group.units();
    Index remove = uniform ? n / 2 : Index(random.bits(0) % std::uint32_t(n));
    if (!uniform && group.kind == "channels" && group.layer == 0) remove = n / 4;
    std::vector<std::uint8_t> alive(std::size_t(n), 1);
    for (std::uint32_t i = 1; remove > 0; ++i) {
      auto& bit = alive[random.bits(i) % std::size_t(n)];
      remove -= bit, bit = 0;
    }
    group.mask->set(model.device(), alive);
  });
}

std::vector<double> reload(const std::string& directory, const Golden& golden) {
  Device device;
  auto model = esp::load<Model>(device, directory);
  return model.logits(golden.tokens, golden.shape);
}

}  // namespace

TEST_CASE("masked, compacted, padded and uniform are one function, for every model type") {
  for (const std::string& name : esp::test::golden_llamas()) {
    for (const bool uniform : {false, true}) {
      CAPTURE(name);
      CAPTURE(uniform);
      const Golden golden(name);
      Device device;
      auto model = esp::load<Model>(device, golden.directory, {.rank = 2});
      esp::load_adapter(model, golden.directory + "/adapter");
      const auto dense = model.logits(golden.tokens, golden.shape);
      mask_some(model, 5, uniform);
      const auto masked = model.logits(golden.tokens, golden.shape);
      REQUIRE(relative_gap(masked, dense) > 1e-3);

      const TemporaryDirectory folder;
      const auto report = esp::save(model, folder / "masked", {.layout = uniform ? esp::Layout::uniform : esp::Layout::padded, .dtype = esp::Dtype::f64});
      CHECK(report.pruned);
      CHECK(relative_gap(model.logits(golden.tokens, golden.shape), masked) == 0);  // saving changes nothing
      CHECK(relative_gap(reload(folder / "masked", golden), masked) < 1e-12);

      esp::compact(model);
      const auto compacted = model.logits(golden.tokens, golden.shape);
      CHECK(relative_gap(compacted, masked) < 1e-12);
      esp::save(model, folder / "compacted", {.layout = report.layout, .dtype = esp::Dtype::f64});
      CHECK(slurp(folder / "compacted/model.safetensors") == slurp(folder / "masked/model.safetensors"));
      CHECK(slurp(folder / "compacted/config.json") == slurp(folder / "masked/config.json"));
      CHECK(slurp(folder / "compacted/espalier_plan.json") == slurp(folder / "masked/espalier_plan.json"));
    }
  }
}

TEST_CASE("layers that differ are refused as uniform, by name, and padded instead when nobody says") {
  const Golden golden("llama-gqa");
  Device device;
  auto model = esp::load<Model>(device, golden.directory);
  mask_some(model, 3, false);
  const TemporaryDirectory folder;
  CHECK_THROWS_WITH_AS(esp::save(model, folder / "out", {.layout = esp::Layout::uniform}), doctest::Contains("channels of layers 0: 30, 1: "), esp::Error);
  CHECK(folder.entries() == 0);
  const auto report = esp::save(model, folder / "out");
  CHECK(report.layout == esp::Layout::padded);
  const auto config = esp::test::foreign_json(slurp(folder / "out/config.json"));
  CHECK(config["intermediate_size"] == report.feed_forward);
  CHECK(config["num_attention_heads"] == report.heads);
  CHECK(config["num_key_value_heads"] == report.groups);
  CHECK(config["head_dim"] == 6);
  CHECK(report.heads == 2 * report.groups);
}

TEST_CASE("the plan beside a pruned model says what stayed, why, and of which weights") {
  const Golden golden("llama-gqa");
  Device device;
  auto model = esp::load<Model>(device, golden.directory);
  mask_some(model, 3, false);
  esp::Plan pruner;
  pruner.settings = {{"criterion", "test"}};
  pruner.groups = {{"channels", 1, 40, {}, std::vector<double>(40, 0.5)}};
  const TemporaryDirectory folder;
  esp::save(model, folder / "out", {.plan = &pruner});
  const auto plan = esp::test::foreign_json(slurp(folder / "out/espalier_plan.json"));
  CHECK(plan["source"]["name"] == "llama-gqa");
  CHECK(plan["source"]["sha256"] == esp::sha256_of_file(golden.directory + "/model.safetensors"));
  CHECK(plan["settings"]["criterion"] == "test");
  REQUIRE(plan["groups"].size() == 4);
  CHECK(plan["groups"][3]["scores"].size() == 40);
  const auto read = esp::PlanFile::read(folder / "out/espalier_plan.json");
  CHECK(read.layout == "padded");
  std::size_t i = 0;
  model.groups([&](auto&& group) {
    std::vector<int> kept;
    for (std::size_t u = 0; u < group.mask->alive().size(); ++u)
      if (group.mask->alive()[u]) kept.push_back(int(u));
    CHECK(read.plan.groups[i++].kept == kept);
  });
  // What a pruned directory says of itself survives being loaded and saved once more.
  auto again = esp::load<Model>(device, folder / "out");
  esp::save(again, folder / "again");
  CHECK(slurp(folder / "again/espalier_plan.json") == slurp(folder / "out/espalier_plan.json"));
  CHECK(slurp(folder / "again/model.safetensors") == slurp(folder / "out/model.safetensors"));
}

TEST_CASE("base and adapters of a compacted model can be written side by side") {
  const Golden golden("llama-gqa");
  Device device;
  auto model = esp::load<Model>(device, golden.directory, {.rank = 2});
  esp::load_adapter(model, golden.directory + "/adapter");
  mask_some(model, 9, true);
  esp::compact(model);
  const auto expected = model.logits(golden.tokens, golden.shape);
  const TemporaryDirectory folder;
  esp::save(model, folder / "base", {.dtype = esp::Dtype::f64, .merge = false});
  CHECK_THROWS_WITH_AS(esp::save_adapter(model, folder / "adapter"), doctest::Contains("name its directory as base"), esp::Error);
  esp::save_adapter(model, folder / "adapter", {.base = folder / "base"});
  auto again = esp::load<Model>(device, folder / "base");
  CHECK(relative_gap(again.logits(golden.tokens, golden.shape), expected) > 1e-3);
  esp::load_adapter(again, folder / "adapter");
  CHECK(relative_gap(again.logits(golden.tokens, golden.shape), expected) < 1e-12);
  esp::merge(model);
  CHECK_THROWS_WITH_AS(esp::save(model, folder / "other", {.merge = false}), doctest::Contains("unmerge"), esp::Error);
}

TEST_CASE("heads that do not divide the width: another model type, or more padding where there are biases") {
  Device device;
  const esp::LlamaConfig six{.vocab = 48, .hidden = 24, .layers = 2, .heads = 6, .groups = 6, .head_dim = 4, .feed_forward = 16};
  const Golden tokens("llama-gqa");
  for (const bool bias : {false, true}) {
    CAPTURE(bias);
    auto config = six;
    config.qkv_bias = config.out_bias = bias;
    Model model(device, config);
    esp::test::randomise(model, 11);
    model.groups([&](auto&& group) {
      if (group.kind == "heads") group.mask->set(device, {1, 0, 1, 1, 1, 1});
    });
    const auto masked = model.logits(tokens.tokens, tokens.shape);
    const TemporaryDirectory folder;
    const auto report = esp::save(model, folder / "out", {.layout = esp::Layout::padded, .dtype = esp::Dtype::f64});
    CHECK(report.model_type == (bias ? "llama" : "mistral"));
    CHECK(report.heads == (bias ? 6 : 5));
    CHECK(relative_gap(reload(folder / "out", tokens), masked) < 1e-12);
    CHECK(esp::save(model, folder / "automatic").layout == (bias ? esp::Layout::padded : esp::Layout::uniform));
    if (bias) CHECK_THROWS_WITH_AS(esp::save(model, folder / "uniform", {.layout = esp::Layout::uniform}), doctest::Contains("5 heads do not divide"), esp::Error);
  }
  Model dense(device, six);
  esp::test::randomise(dense, 12);
  const TemporaryDirectory folder;
  CHECK(esp::save(dense, folder / "dense").model_type == "llama");
  auto model = esp::load<Model>(device, folder / "dense");
  model.groups([&](auto&& group) {
    if (group.kind == "heads") group.mask->set(device, {1, 1, 1, 1, 0, 1});
  });
  const auto report = esp::save(model, folder / "pruned");
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0].find("model_type mistral instead of llama: 5 heads do not divide hidden_size 24") == 0);
}

