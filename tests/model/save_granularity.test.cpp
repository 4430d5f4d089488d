// SPDX-License-Identifier: MIT
// Whatever left as one: masked, compacted and written it is the same function, and what no file can say is refused.
#include <doctest/doctest.h>

#include <espalier/backend/cpu.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>

#include "compiled_files.hpp"
#include "foreign_json.hpp"
#include "golden.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using esp::Granularity, esp::Index, esp::Layout;
using esp::test::Golden, esp::test::relative_gap, esp::test::slurp, esp::test::TemporaryDirectory;
using Device = esp::Cpu<double>;
using Model = esp::Llama<Device, esp::LowRankAdapter>;
using Bits = std::vector<std::uint8_t>;

namespace {

Model opened(Device& device, const Golden& golden, Granularity granularity) {
  auto model = esp::load<Model>(device, golden.directory, {.rank = 2});
  esp::load_adapter(model, golden.directory + "/adapter");
  model.prune_by(granularity);
  return model;
}
template <class M>
void mask(M& model, const std::string& kind, const std::vector<Bits>& layers) {
  model.groups([&](auto group) {
    if (group.kind == kind) group.mask->set(model.device(), layers[std::size_t(std::max<Index>(group.layer, 0)) % layers.size()]);
  });
}
std::vector<double> reload(const std::string& directory, const Golden& golden) {
  Device device;
  auto model = esp::load<Model>(device, directory);
  return model.logits(golden.tokens, golden.shape);
}

/// masked == written == compacted == written; gives the report.
esp::SaveReport there_and_back(Model& model, const Golden& golden, Layout layout) {
  const auto masked = model.logits(golden.tokens, golden.shape);
  const TemporaryDirectory folder;
  const auto report = esp::save(model, folder / "masked", {.layout = layout, .dtype = esp::Dtype::f64});
  CHECK(report.pruned);
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape), masked) == 0);
  CHECK(relative_gap(reload(folder / "masked", golden), masked) < 1e-12);
  esp::compact(model);
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape), masked) < 1e-12);
  esp::save(model, folder / "compacted", {.layout = layout, .dtype = esp::Dtype::f64});
  for (const char* file : {"config.json", "espalier_plan.json", "model.safetensors"})
    CHECK(slurp(folder / std::string("compacted/") + file) == slurp(folder / std::string("masked/") + file));
  if (report.layout != Layout::padded) CHECK(report.parameters == esp::count_parameters(model));
  // What the plan says is what a fresh model needs.
  auto again = esp::load<Model>(model.device(), golden.directory, {.rank = 2});
  esp::load_adapter(again, golden.directory + "/adapter");
  esp::apply(again, esp::PlanFile::read(folder / "masked/espalier_plan.json").plan);
  CHECK(relative_gap(again.logits(golden.tokens, golden.shape), masked) == 0);
  return report;
}

}  // namespace

TEST_CASE("query heads: uniform where all key-value heads keep the same number, padded where not, compact where layers do") {
  for (const char* name : {"llama-gqa", "qwen2", "qwen3", "llama-bias"}) {
    CAPTURE(name);
    const Golden golden(name);
    const auto make = [&](Device& device, const std::vector<Bits>& layers) {
      auto model = opened(device, golden, Granularity::queries);
      const auto dense = model.logits(golden.tokens, golden.shape);
      mask(model, "queries", layers);
      CHECK(relative_gap(model.logits(golden.tokens, golden.shape), dense) > 1e-3);
      return model;
    };
    Device device;
    {
      auto model = make(device, {{1, 0, 0, 1}, {0, 1, 0, 1}});
      const bool padded_on = std::string(name) == "llama-bias";
      const auto report = there_and_back(model, golden, padded_on ? Layout::automatic : Layout::uniform);
      CHECK(report.groups == 2);
      CHECK(report.heads == 2);
    }
    {
      auto model = make(device, {{1, 1, 0, 1}, {0, 1, 0, 1}});
      const TemporaryDirectory folder;
      CHECK_THROWS_WITH_AS(esp::save(model, folder / "x", {.layout = Layout::uniform}), doctest::Contains("uneven in layer 0"), esp::Error);
      CHECK_THROWS_WITH_AS(esp::save(model, folder / "x", {.layout = Layout::compact}), doctest::Contains("layout padded"), esp::Error);
      CHECK(folder.entries() == 0);
      const auto report = there_and_back(model, golden, Layout::automatic);
      CHECK(report.layout == Layout::padded);
      CHECK(report.heads == 4);
      CHECK(report.groups == 2);
    }
    {
      auto model = make(device, {{1, 1, 1, 1}, {0, 1, 0, 1}});
      const auto report = there_and_back(model, golden, Layout::compact);
      CHECK(report.heads == 4);
    }
  }
}

TEST_CASE("whole layers: the rest moves up, and the plan keeps the first numbers") {
  for (const char* name : {"llama-gqa", "qwen2", "qwen3", "llama-bias", "llama-tied"}) {
    CAPTURE(name);
    const Golden golden(name);
    for (const Bits& bits : {Bits{0, 1}, Bits{1, 0}}) {
      Device device;
      auto model = opened(device, golden, Granularity::layers);
      model.source.config.set("layer_types", esp::json::Value(esp::json::Value::Array{"full_attention", "full_attention"}));
      const auto dense = model.logits(golden.tokens, golden.shape);
      mask(model, "layers", {bits});
      CHECK(relative_gap(model.logits(golden.tokens, golden.shape), dense) > 1e-3);
      const TemporaryDirectory folder;
      esp::save(model, folder / "x");
      const auto config = esp::test::foreign_json(slurp(folder / "x/config.json"));
      CHECK(config["num_hidden_layers"] == 1);
      CHECK(config["layer_types"].size() == 1);
      const auto plan = esp::test::foreign_json(slurp(folder / "x/espalier_plan.json"));
      CHECK(plan["groups"].size() == 1);
      CHECK(plan["groups"][0]["kind"] == "layers");
      CHECK(plan["groups"][0]["kept"][0] == (bits[0] ? 0 : 1));
      CHECK(there_and_back(model, golden, Layout::automatic).layout == Layout::uniform);
    }
    Device device;
    auto model = opened(device, golden, Granularity::layers);
    mask(model, "layers", {{0, 1}});
    if (std::string(name) != "llama-bias") there_and_back(model, golden, Layout::compact);
  }
}

TEST_CASE("channels of the residual stream: hidden_size falls, head_dim is said, norms make up, also those on q and k") {
  for (const char* name : {"llama-gqa", "qwen2", "qwen3", "llama-bias", "llama-tied"}) {
    CAPTURE(name);
    const Golden golden(name);
    Device device;
    auto model = opened(device, golden, Granularity::hidden);
    const Index full = model.config.hidden, head_dim = model.config.head_dim;
    const auto dense = model.logits(golden.tokens, golden.shape);
    Bits bits(std::size_t(full), 1);
    for (std::size_t j = 1; j < bits.size(); j += 6) bits[j] = bits[j + 2] = 0;
    const Index left = std::count(bits.begin(), bits.end(), std::uint8_t{1});
    mask(model, "hidden", {bits});
    CHECK(relative_gap(model.logits(golden.tokens, golden.shape), dense) > 1e-3);
    const TemporaryDirectory folder;
    esp::save(model, folder / "x");
    const auto config = esp::test::foreign_json(slurp(folder / "x/config.json"));
    CHECK(config["hidden_size"] == left);
    CHECK(config["head_dim"] == head_dim);
    CHECK(double(config["rms_norm_eps"]) == doctest::Approx(model.config.eps * double(full) / double(left)).epsilon(1e-14));
    if (model.config.qk_norm) {
      CHECK_THROWS_WITH_AS(esp::save(model, folder / "y", {.merge = false}), doctest::Contains("save with merge"), esp::Error);
      CHECK(folder.entries() == 1);
    }
    CHECK(there_and_back(model, golden, Layout::automatic).layout == Layout::uniform);
  }
}

TEST_CASE("GGUF says each of them") {
  const Golden golden("llama-gqa");
  esp::Cpu<float> device;
  for (const auto granularity : {Granularity::queries, Granularity::layers, Granularity::hidden}) {
    auto model = esp::load<esp::test::CpuLlama<float>>(device, golden.directory);
    model.prune_by(granularity);
    model.groups([&](auto group) {
      if (group.kind == "channels") return;
      Bits bits(std::size_t(group.units()), 1);
      for (std::size_t u = 0; u < bits.size(); u += 2) bits[u] = 0;
      group.mask->set(device, bits);
    });
    const TemporaryDirectory folder;
    const auto masked = esp::save_gguf(model, folder / "masked.gguf");
    esp::compact(model);
    const auto compacted = esp::save_gguf(model, folder / "compacted.gguf");
    CHECK(masked.parameters == esp::count_parameters(model));
    CHECK(masked.layout == Layout::uniform);
    CHECK(slurp(folder / "masked.gguf") == slurp(folder / "compacted.gguf"));
  }
}

TEST_CASE("query heads that no key-value head has any more are refused, and so is GGUF where it cannot say it") {
  const Golden golden("llama-gqa");
  Device device;
  auto model = opened(device, golden, Granularity::queries);
  mask(model, "queries", {{0, 0, 1, 1}});
  const TemporaryDirectory folder;
  CHECK_THROWS_WITH_AS(esp::save(model, folder / "x"), doctest::Contains("every unit of a key-value head is masked"), esp::Error);
  CHECK(folder.entries() == 0);
}
