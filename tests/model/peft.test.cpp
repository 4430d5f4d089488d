// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <filesystem>

#include "compiled_files.hpp"
#include "golden_gradients.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using esp::test::Golden, esp::test::relative_gap, esp::test::TemporaryDirectory, esp::test::slurp;
namespace json = esp::json;
using Device = esp::Cpu<double>;
template <class T>
using Llama = esp::Llama<esp::Cpu<T>, esp::LowRankAdapter>;
using Model = Llama<double>;

namespace {

template <class T>
Llama<T> adapted(esp::Cpu<T>& device, const Golden& golden) {
  // Another rank and other targets than the file's: what the file says wins.
  auto model = esp::load<Llama<T>>(device, golden.directory, {.rank = 2, .alpha = 3, .targets = {"down_proj"}});
  esp::load_adapter(model, golden.directory + "/adapter");
  return model;
}

template <class T>
void expect_golden(const Golden& golden, double bound, double gradient_bound) {
  const std::string bits = sizeof(T) == 8 ? "64" : "";
  esp::Cpu<T> device;
  auto model = adapted(device, golden);
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape), golden.numbers("logits_adapter" + bits)) < bound);
  CHECK(double(model.loss(golden.batch())) == doctest::Approx(golden.numbers("loss_adapter" + bits)[0]).epsilon(bound));
  esp::test::expect_gradients(model, golden, gradient_bound);
}

json::Value settings() { return json::read_file(esp::test::golden_directory("llama-gqa") + "/adapter/adapter_config.json"); }
json::Value with(const std::string& key, json::Value value) {
  auto c = settings();
  c.set(key, std::move(value));
  return c;
}

}  // namespace

TEST_CASE("adapters that peft wrote give peft's logits, loss and gradients, in double to rounding") {
  for (const std::string& name : esp::test::golden_llamas()) {
    CAPTURE(name);
    expect_golden<double>(Golden(name), 1e-12, 1e-10);
    expect_golden<float>(Golden(name), 1e-5, 1e-4);
  }
}

TEST_CASE("an adapter that is read and written is peft's file, byte for byte, and its settings say the same") {
  for (const char* name : {"llama-gqa", "llama-gqa-rslora", "llama-patterns", "qwen3"}) {
    CAPTURE(name);
    const Golden golden(name);
    Device device;
    auto model = adapted(device, golden);
    const TemporaryDirectory folder;
    esp::save_adapter(model, folder / "adapter", {.base = name, .dtype = esp::Dtype::f32});
    CHECK(slurp(folder / "adapter/adapter_model.safetensors") == slurp(golden.directory + "/adapter/adapter_model.safetensors"));
    const auto ours = json::read_file(folder / "adapter/adapter_config.json"), theirs = json::read_file(golden.directory + "/adapter/adapter_config.json");
    std::string last;
    for (const auto& member : ours.members()) {
      const auto& key = member.key;
      const auto& value = member.value;
      CAPTURE(key);
      CHECK(last < key);  // sorted, as peft sorts them
      last = key;
      REQUIRE(theirs.contains(key));
      if (key == "target_modules") {
        auto a = value.elements(), b = theirs.at(key).elements();
        const auto less = [](const auto& x, const auto& y) { return x.as_string() < y.as_string(); };
        std::sort(a.begin(), a.end(), less), std::sort(b.begin(), b.end(), less);
        CHECK(a == b);
      } else {
        CHECK(value.dump() == theirs.at(key).dump());
      }
    }
    for (const char* key : {"rank_pattern", "alpha_pattern"})  // of "llama-patterns" peft's too say something
      CHECK((ours.at(key).size() == 2) == (std::string(name) == "llama-patterns"));
  }
}

TEST_CASE("ranks and scales of single maps go through rank_pattern and alpha_pattern") {
  const Golden golden("llama-gqa");
  auto config = with("rank_pattern", json::Value::object({{"layers.1.self_attn.v_proj", 2}, {"v_proj", 3}}));
  config.set("alpha_pattern", json::Value::object({{"v_proj", 5}}));
  const auto read = esp::AdapterConfig::read(config);
  CHECK(read.options_of("model.layers.1.self_attn.v_proj").rank == 2);
  CHECK(read.options_of("model.layers.0.self_attn.v_proj").rank == 3);
  CHECK(read.options_of("model.layers.0.self_attn.q_proj").rank == 4);
  CHECK(read.options_of("model.layers.0.self_attn.v_proj").scale() == doctest::Approx(5.0 / 3));

  Device device;
  auto model = adapted(device, golden);
  esp::LowRankOptions own = model.adapter;
  own.rank = 2, own.alpha = 7;
  auto& projection = model.model.layers[1].self_attn.v_proj;
  projection.adapter = esp::LowRankAdapter<Device>(device, projection.in(), projection.out(), "model.layers.1.self_attn.v_proj", own);
  model.run.arena.bind(device, [&](auto&& f) { esp::for_each_parameter(model, [&](const auto&, auto& p) { f(p); }); });
  esp::for_each_parameter(model, [&](const std::string&, auto& p) {
    for (esp::Index i = 0; i < p.size(); ++i) p.value.data[i] = 0.01 * double(i % 7) - 0.02;
  });
  const TemporaryDirectory folder;
  esp::save_adapter(model, folder / "a", {});
  auto again = esp::load<Model>(device, golden.directory, {.rank = 1});
  esp::load_adapter(again, folder / "a");
  CHECK(again.model.layers[1].self_attn.v_proj.adapter.rank() == 2);
  CHECK(again.logits(golden.tokens, golden.shape) == model.logits(golden.tokens, golden.shape));
}

TEST_CASE("targets are names, all linear maps, or single layers") {
  const auto matches = [](const json::Value& config, const char* path) { return esp::AdapterConfig::read(config).matches(path); };
  const char *q0 = "model.layers.0.self_attn.q_proj", *q1 = "model.layers.1.self_attn.q_proj", *gate = "model.layers.1.mlp.gate_proj";
  CHECK(matches(with("target_modules", "all-linear"), gate));
  CHECK(matches(with("target_modules", std::vector<const char*>{"self_attn.q_proj"}), q0));
  CHECK_FALSE(matches(with("target_modules", std::vector<const char*>{"self_attn.q_proj"}), gate));
  CHECK_FALSE(matches(with("target_modules", std::vector<const char*>{"proj"}), q0));
  CHECK_FALSE(matches(with("exclude_modules", std::vector<const char*>{"gate_proj"}), gate));
  CHECK(matches(with("layers_to_transform", std::vector<int>{1}), q1));
  CHECK_FALSE(matches(with("layers_to_transform", 1), q0));
}

TEST_CASE("only the adapters of some layers: their whole paths are written, and read back") {
  const Golden golden("llama-gqa");
  Device device;
  auto model = esp::load<Model>(device, golden.directory, {.rank = 2, .targets = {"layers.0.self_attn.q_proj", "v_proj"}});
  const TemporaryDirectory folder;
  esp::save_adapter(model, folder / "a");
  const auto config = json::read_file(folder / "a/adapter_config.json");
  CHECK(config.at("target_modules").dump() == R"(["model.layers.0.self_attn.q_proj","v_proj"])");
  CHECK(config.text("base_model_name_or_path") == golden.directory);
  auto again = esp::load<Model>(device, golden.directory);
  esp::load_adapter(again, folder / "a");
  CHECK(esp::count_trainable(again) == esp::count_trainable(model));
}

TEST_CASE("a regular expression of targets is never evaluated: the tensors say what it matched") {
  const Golden golden("llama-gqa-rslora");  // adapters on q_proj and v_proj only
  Device device;
  auto listed = esp::load<Model>(device, golden.directory), matched = esp::load<Model>(device, golden.directory);
  const TemporaryDirectory folder;
  std::filesystem::copy(golden.directory + "/adapter", folder / "a");
  auto config = json::read_file(folder / "a/adapter_config.json");
  config.set("target_modules", ".*\\.(q|v)_proj");
  json::write_file(folder / "a/adapter_config.json", config);
  esp::load_adapter(listed, golden.directory + "/adapter");
  esp::load_adapter(matched, folder / "a");
  std::vector<std::vector<double>> a, b;
  esp::for_each_parameter(listed, [&](const std::string&, auto& p) { a.emplace_back(p.value.data, p.value.data + p.size()); });
  esp::for_each_parameter(matched, [&](const std::string&, auto& p) { b.emplace_back(p.value.data, p.value.data + p.size()); });
  CHECK(a.size() == 8);
  CHECK(a == b);
}

TEST_CASE("settings that compute something else are refused by name") {
  using json::Value;
  const auto list = [](auto... names) { return Value(Value::Array{Value(names)...}); };
  const std::pair<const char*, Value> unsupported[] = {
      {"use_dora", true}, {"use_qalora", true}, {"lora_bias", true}, {"bias", "all"}, {"bias", "lora_only"},
      {"modules_to_save", list("lm_head")}, {"layer_replication", list(0, 1)}, {"target_parameters", list("x")},
      {"trainable_token_indices", list(1)}, {"alora_invocation_tokens", list(1)}, {"megatron_config", Value::object({{"a", 1}})},
      {"velora_config", Value::object({{"a", 1}})}, {"use_bdlora", true}, {"a_key_of_the_future", true}, {"peft_type", "IA3"},
      {"init_lora_weights", "pissa"}, {"init_lora_weights", "olora"},
      {"target_modules", list(".*q_proj")}, {"exclude_modules", list("(gate|up)_proj")}, {"rank_pattern", Value::object({{"^q_proj", 4}})},
      {"layers_pattern", "blocks"}};
  for (const auto& setting : unsupported) {
    const auto& key = setting.first;
    const auto& value = setting.second;
    CAPTURE(key);
    try {
      esp::AdapterConfig::read(with(key, value));
      FAIL_CHECK("not refused");
    } catch (const esp::Error& e) {
      INFO(e.what());
      CHECK(e.code() == esp::Errc::unsupported);
      CHECK(std::string(e.what()).find(key) != std::string::npos);
    }
  }
  // How the base model's files lie, not what the adapter computes: PEFT goes by the module it meets.
  CHECK_NOTHROW(esp::AdapterConfig::read(with("fan_in_fan_out", true)));
  const std::pair<const char*, Value> malformed[] = {
      {"r", 0}, {"r", -8}, {"r", 1.5}, {"r", "8"}, {"r", 1 << 20}, {"lora_alpha", 0}, {"lora_alpha", "16"}, {"lora_dropout", 1.0}, {"lora_dropout", -0.1},
      {"target_modules", Value()}, {"target_modules", list()}, {"target_modules", ""}, {"target_modules", list(1)}, {"target_modules", 7}, {"use_rslora", 1},
      {"rank_pattern", Value::object({{"q_proj", 0}})}, {"rank_pattern", list(1)}, {"alpha_pattern", Value::object({{"q_proj", "x"}})},
      {"layers_to_transform", list("0")}};
  for (const auto& setting : malformed) {
    const auto& key = setting.first;
    const auto& value = setting.second;
    CAPTURE(key);
    try {
      esp::AdapterConfig::read(with(key, value));
      FAIL_CHECK("not refused");
    } catch (const esp::Error& e) {
      INFO(e.what());
      CHECK(e.code() == esp::Errc::bad_input);
      CHECK(std::string(e.what()).find(key) != std::string::npos);
    }
  }
}

TEST_CASE("an adapter that does not fit is refused by tensor, and the model is left alone") {
  const Golden golden("llama-gqa");
  Device device;
  auto model = esp::load<Model>(device, golden.directory, {.rank = 2});
  const auto before = esp::count_trainable(model);
  const auto refuse = [&](const std::string& directory, const char* words) {
    CHECK_THROWS_WITH_AS(esp::load_adapter(model, directory), doctest::Contains(words), esp::Error);
    CHECK(esp::count_trainable(model) == before);
  };
  refuse(golden.directory, "there is no adapter_config.json");
  refuse(esp::test::golden_directory("llama-mha") + "/adapter", "model.layers.0.self_attn.k_proj.lora_B.weight has shape [24, 4], expected [12, 4]");
  const TemporaryDirectory folder;
  std::filesystem::copy(golden.directory + "/adapter", folder / "a");
  json::write_file(folder / "a/adapter_config.json", with("r", 3));
  refuse(folder / "a", "expected [3, 24]");
  json::write_file(folder / "a/adapter_config.json", with("target_modules", std::vector<const char*>{"q_proj"}));
  refuse(folder / "a", "which adapter_config.json does not account for");
  json::write_file(folder / "a/adapter_config.json", with("target_modules", std::vector<const char*>{"query"}));
  refuse(folder / "a", "names no linear map");
  json::write_file(folder / "a/adapter_config.json", settings());
  std::filesystem::copy_file(esp::test::golden_directory("llama-gqa-rslora") + "/adapter/adapter_model.safetensors", folder / "a/adapter_model.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  refuse(folder / "a", "is missing, which adapter_config.json asks for");
  std::filesystem::remove(folder / "a/adapter_model.safetensors");
  esp::test::spill(folder / "a/adapter_model.bin", "x");
  refuse(folder / "a", "is a pickle, which is never read");
  CHECK_THROWS_WITH_AS(esp::save_adapter(model, golden.directory), doctest::Contains("exists already"), esp::Error);
}
