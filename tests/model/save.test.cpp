// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/save.hpp>
#include <filesystem>

#include "compiled_files.hpp"
#include "foreign_json.hpp"
#include "golden.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using esp::test::Golden, esp::test::slurp, esp::test::spill, esp::test::TemporaryDirectory;
namespace json = esp::json;
using Device = esp::Cpu<double>;
using Model = esp::Llama<Device, esp::LowRankAdapter>;

TEST_CASE("shards and their index hold the same tensors as one file") {
  const Golden golden("llama-gqa");
  Device device;
  auto model = esp::load<Model>(device, golden.directory);
  const TemporaryDirectory folder;
  const auto report = esp::save(model, folder / "out", {.shard_bytes = 20000});
  REQUIRE(report.weights.size() == 3);
  CHECK(report.weights[1] == "model-00002-of-00003.safetensors");
  const auto index = esp::test::foreign_json(slurp(folder / "out/model.safetensors.index.json"));
  CHECK(index["metadata"]["total_size"] == report.bytes);
  CHECK(index["weight_map"].size() == 21);
  const esp::TensorFiles shards(folder / "out"), whole(golden.directory);
  for (const auto& name : whole.names()) {
    std::vector<std::byte> a(whole.info(name).bytes), b(a.size());
    whole.read(name, a), shards.read(name, b);
    CHECK(a == b);
    CHECK(shards.info(name).bytes <= 20000);
  }
}

TEST_CASE("tokenizer files and unknown keys come along unchanged") {
  const TemporaryDirectory folder;
  std::filesystem::copy(esp::test::golden_directory("qwen3"), folder / "in");
  spill(folder / "in/tokenizer.json", "{\"not\": \"looked at\"}\n");
  spill(folder / "in/tokenizer.model", std::string("\0\1\2", 3));
  spill(folder / "in/chat_template.jinja", "{{ x }}");
  auto config = json::read_file(folder / "in/config.json");
  config.set("our_own_note", json::Value::object({{"a", json::Value::array()}}));
  json::write_file(folder / "in/config.json", config);
  Device device;
  auto model = esp::load<Model>(device, folder / "in");
  esp::save(model, folder / "out");
  for (const char* name : {"tokenizer.json", "tokenizer.model", "chat_template.jinja", "generation_config.json"}) {
    CHECK(slurp(folder / (std::string("out/") + name)) == slurp(folder / (std::string("in/") + name)));
  }
  CHECK(json::read_file(folder / "out/config.json").at("our_own_note") == config.at("our_own_note"));
  CHECK_FALSE(esp::io::exists(folder / "out/golden.safetensors"));
}

TEST_CASE("nothing is overwritten that nobody meant to lose") {
  const TemporaryDirectory folder;
  std::filesystem::copy(esp::test::golden_directory("llama-gqa"), folder / "in");
  Device device;
  auto model = esp::load<Model>(device, folder / "in");
  const auto refuse = [&](const std::string& directory, const esp::SaveOptions& options, const char* words) {
    CHECK_THROWS_WITH_AS(esp::save(model, directory, options), doctest::Contains(words), esp::Error);
  };
  refuse(folder / "in", {}, "exists already");
  refuse(folder / "in", {.overwrite = true}, "its own source");
  std::filesystem::create_symlink(folder / "in", folder / "link");
  refuse(folder / "link", {.overwrite = true}, "its own source");
  std::filesystem::create_directory(folder / "notes");
  spill(folder / "notes/diary.txt", "dear diary");
  refuse(folder / "notes", {.overwrite = true}, "no model directory");
  spill(folder / "file", "x");
  refuse(folder / "file", {.overwrite = true}, "not a directory");
  refuse(folder / "not/there", {}, "cannot make the directory");
  CHECK(slurp(folder / "notes/diary.txt") == "dear diary");
  std::filesystem::create_directories(folder / "clone/.git");
  spill(folder / "clone/config.json", "{}");
  refuse(folder / "clone", {.overwrite = true}, "there is a directory '.git' in it");
  esp::save(model, folder / "out");
  refuse(folder / "out", {}, "exists already");
  esp::save(model, folder / "out", {.dtype = esp::Dtype::f64, .overwrite = true});
  CHECK(json::read_file(folder / "out/config.json").text("torch_dtype") == "float64");
  CHECK(folder.entries() == 6);  // in, link, notes, file, clone, out: nothing temporary is left
  refuse(folder / "q", {.dtype = esp::Dtype::i8}, "I8 is no type for weights");
}

TEST_CASE("what cannot be written is refused, and nothing appears") {
  const Golden golden("llama-gqa");
  Device device;
  auto model = esp::load<Model>(device, golden.directory);
  const TemporaryDirectory folder;
  model.model.layers[1].mlp.up_proj.weight.view()(3, 4) = -70000;
  CHECK_THROWS_WITH_AS(esp::save(model, folder / "half", {.dtype = esp::Dtype::f16}),
                       doctest::Contains("model.layers.1.mlp.up_proj.weight: -70000 is beyond the range of F16"), esp::Error);
  esp::save(model, folder / "brain", {.dtype = esp::Dtype::bf16});
  model.groups([&](auto&& group) {
    if (group.kind == "heads" && group.layer == 1) group.mask->set(device, {0, 0});
  });
  CHECK_THROWS_WITH_AS(esp::save(model, folder / "none"), doctest::Contains("layer 1 heads: every unit is masked"), esp::Error);
  CHECK(folder.entries() == 1);
}
