// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/io/safetensors_write.hpp>
#include <espalier/model/load.hpp>
#include <filesystem>

#include "compiled_files.hpp"
#include "golden.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using esp::test::Golden, esp::test::relative_gap, esp::test::TemporaryDirectory;
namespace json = esp::json;

namespace {

template <class Device>
std::vector<typename Device::Activation> logits_of(const Golden& golden) {
  Device device;
  auto model = esp::load<esp::Llama<Device, esp::LowRankAdapter>>(device, golden.directory, {.rank = 1});
  return model.logits(golden.tokens, golden.shape);
}

/// A copy of a golden checkpoint that a test may spoil.
struct Copy {
  explicit Copy(const std::string& name) : path(folder / name) {
    std::filesystem::copy(esp::test::golden_directory(name), path, std::filesystem::copy_options::recursive);
  }
  json::Value config() const { return json::read_file(path + "/config.json"); }
  void write(const json::Value& config) const { json::write_file(path + "/config.json", config); }
  void set(const std::string& key, json::Value value) const {
    auto c = config();
    c.set(key, std::move(value));
    write(c);
  }
  /// Writes model.safetensors anew; change(specs) may rename, reshape, drop or add tensors, which are then zeros.
  template <class F>
  void retensor(F&& change) const {
    const esp::SafetensorsFile file(path + "/model.safetensors");
    std::vector<esp::TensorSpec> specs;
    for (const auto& t : file.tensors()) specs.push_back({t.name, t.dtype, t.shape});
    change(specs);
    esp::write_safetensors(path + "/model.safetensors", specs, {{"format", "pt"}}, [&](const esp::TensorInfo& info, auto& sink) {
      std::vector<std::byte> bytes(info.bytes);
      if (const auto* old = file.find(info.name); old != nullptr && old->bytes == info.bytes) file.read(*old, bytes);
      sink.write(bytes);
    });
  }
  TemporaryDirectory folder;
  std::string path;
};

void refuse(const std::string& directory, esp::Errc code, const std::string& words) {
  INFO(directory, " should be refused with: ", words);
  esp::Cpu<float> device;
  try {
    esp::load<esp::Llama<esp::Cpu<float>, esp::LowRankAdapter>>(device, directory);
    FAIL_CHECK("nothing was refused");
  } catch (const esp::Error& e) {
    INFO(e.what());
    CHECK(e.code() == code);
    CHECK(std::string(e.what()).find(words) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("every checkpoint that transformers wrote gives transformers' logits, in double to rounding") {
  for (const std::string& name : esp::test::golden_llamas()) {
    CAPTURE(name);
    const Golden golden(name);
    CHECK(relative_gap(logits_of<esp::Cpu<double>>(golden), golden.numbers("logits64")) < 1e-12);
    CHECK(relative_gap(logits_of<esp::Cpu<float>>(golden), golden.numbers("logits")) < 1e-5);
  }
}

TEST_CASE("the loss is transformers' loss, ignored labels left out") {
  for (const char* name : {"llama-gqa", "llama-tied", "qwen3"}) {
    const Golden golden(name);
    esp::Cpu<double> device;
    auto model = esp::load<esp::Llama<esp::Cpu<double>, esp::LowRankAdapter>>(device, golden.directory);
    CHECK(double(model.evaluate(golden.batch())) == doctest::Approx(golden.numbers("loss64")[0]).epsilon(1e-12));
  }
}

TEST_CASE("a model that is trained drops what its configuration says, and the same again where the step is the same") {
  for (const char* name : {"llama-gqa", "mistral", "qwen2", "qwen3"}) {
    CAPTURE(name);
    const Golden golden(name);
    const Copy base(name);
    base.set("attention_dropout", 0.3);
    esp::Cpu<double> device;
    auto model = esp::load<esp::Llama<esp::Cpu<double>, esp::LowRankAdapter>>(device, base.path, {.rank = 1});
    CHECK(model.blocks()[1].self_attn.dropout.p == 0.3);
    const double plain = model.evaluate(golden.batch()), first = model.loss(golden.batch());
    CHECK(plain == doctest::Approx(golden.numbers("loss64")[0]).epsilon(1e-12));
    CHECK(std::abs(first - plain) > 1e-4);
    CHECK(double(model.loss(golden.batch())) == first);
    ++model.run.step.step;
    CHECK(double(model.loss(golden.batch())) != first);
    CHECK(esp::write_llama_config(model.config, base.config(), esp::Dtype::f32).at("attention_dropout") == json::Value(0.3));
  }
}

TEST_CASE("a fresh adapter changes nothing, and its start depends on the seed alone") {
  const Golden golden("llama-gqa");
  esp::Cpu<float> device;
  using Model = esp::Llama<esp::Cpu<float>, esp::LowRankAdapter>;
  auto a = esp::load<Model>(device, golden.directory, {.rank = 4}, 7);
  auto b = esp::load<Model>(device, golden.directory, {.rank = 4}, 7);
  auto c = esp::load<Model>(device, golden.directory, {.rank = 4}, 8);
  CHECK(relative_gap(a.logits(golden.tokens, golden.shape), golden.numbers("logits")) < 1e-5);
  const auto first = [](Model& m) { return m.model.layers[0].self_attn.q_proj.adapter.a.value(1, 3); };
  CHECK(first(a) != 0.0f);
  CHECK(first(a) == first(b));
  CHECK(first(a) != first(c));
}

TEST_CASE("shards are read like one file, and old leftovers are ignored") {
  const Golden golden("llama-gqa");
  Copy copy("llama-gqa");
  copy.retensor([](auto& specs) { specs.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", esp::Dtype::f32, {3}}); });
  esp::Cpu<float> device;
  auto model = esp::load<esp::Llama<esp::Cpu<float>, esp::LowRankAdapter>>(device, copy.path);
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape), golden.numbers("logits")) < 1e-5);
  CHECK(model.source.dtype_of("model.norm.weight") == esp::Dtype::f32);
  CHECK(model.source.sha256() == esp::sha256_of_file(copy.path + "/model.safetensors"));
}

TEST_CASE("a tied checkpoint may hold its head once more, but not another one") {
  const Golden golden("llama-tied");
  Copy copy("llama-tied");
  copy.retensor([](auto& specs) { specs.push_back({"lm_head.weight", esp::Dtype::f32, {48, 24}}); });
  refuse(copy.path, esp::Errc::bad_input, "lm_head.weight is not model.embed_tokens.weight");
}

TEST_CASE("tensors and configuration that do not belong together are refused by name") {
  using Specs = std::vector<esp::TensorSpec>;
  const auto find = [](Specs& specs, const std::string& name) -> esp::TensorSpec& {
    return *std::find_if(specs.begin(), specs.end(), [&](auto& s) { return s.name == name; });
  };
  const std::string q = "model.layers.1.self_attn.q_proj.weight";
  struct Case {
    const char* what;
    esp::Errc code;
    std::string words;
    void (*change)(Specs&, esp::TensorSpec&);
  };
  const Case cases[] = {
      {"a tensor is missing", esp::Errc::bad_input, q + " is missing", [](Specs& s, esp::TensorSpec& t) { s.erase(s.begin() + (&t - s.data())); }},
      {"a tensor has other rows", esp::Errc::bad_input, q + " has shape [12, 24], config.json says [24, 24]", [](Specs&, esp::TensorSpec& t) { t.shape = {12, 24}; }},
      {"a tensor is transposed", esp::Errc::bad_input, "has shape [48, 12]", [](Specs&, esp::TensorSpec& t) { t.shape = {48, 12}; }},
      {"a tensor has another rank", esp::Errc::bad_input, "has shape [576]", [](Specs&, esp::TensorSpec& t) { t.shape = {576}; }},
      {"a tensor is a scalar", esp::Errc::bad_input, "has shape []", [](Specs&, esp::TensorSpec& t) { t.shape = {}; }},
      {"a tensor is empty", esp::Errc::bad_input, "has shape [0, 24]", [](Specs&, esp::TensorSpec& t) { t.shape = {0, 24}; }},
      {"a tensor is quantised", esp::Errc::unsupported, "stored as I8", [](Specs&, esp::TensorSpec& t) { t.dtype = esp::Dtype::i8; }},
      {"a tensor is in 8-bit floats", esp::Errc::unsupported, "stored as F8_E4M3", [](Specs&, esp::TensorSpec& t) { t.dtype = esp::Dtype::f8_e4m3; }},
      {"a tensor is in integers", esp::Errc::unsupported, "stored as I64", [](Specs&, esp::TensorSpec& t) { t.dtype = esp::Dtype::i64; }},
      {"a bias nobody asked for", esp::Errc::bad_input, "q_proj.bias', which config.json does not account for", [](Specs& s, esp::TensorSpec&) { s.push_back({"model.layers.1.self_attn.q_proj.bias", esp::Dtype::f32, {24}}); }},
      {"a layer too many", esp::Errc::bad_input, "model.layers.2.", [](Specs& s, esp::TensorSpec&) { s.push_back({"model.layers.2.input_layernorm.weight", esp::Dtype::f32, {24}}); }},
      {"a norm nobody asked for", esp::Errc::bad_input, "q_norm", [](Specs& s, esp::TensorSpec&) { s.push_back({"model.layers.0.self_attn.q_norm.weight", esp::Dtype::f32, {6}}); }},
      {"a tensor of another model", esp::Errc::bad_input, "extra", [](Specs& s, esp::TensorSpec&) { s.push_back({"extra", esp::Dtype::u8, {1}}); }},
      {"no language head", esp::Errc::bad_input, "lm_head.weight is missing", [](Specs& s, esp::TensorSpec&) { std::erase_if(s, [](auto& t) { return t.name == "lm_head.weight"; }); }},
      {"a model without the prefix", esp::Errc::bad_input, "lack the prefix 'model.'", [](Specs& s, esp::TensorSpec&) { for (auto& t : s) if (t.name.starts_with("model.")) t.name.erase(0, 6); }},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    Copy copy("llama-gqa");
    copy.retensor([&](Specs& specs) { c.change(specs, find(specs, q)); });
    refuse(copy.path, c.code, c.words);
  }
}

TEST_CASE("sizes in config.json that the file does not have are refused before memory is taken for them") {
  const std::pair<const char*, esp::Index> cases[] = {{"vocab_size", 4'000'000}, {"hidden_size", 4'000'000}, {"intermediate_size", 4'000'000},
                                                      {"num_hidden_layers", 65536}, {"num_hidden_layers", 3}, {"num_key_value_heads", 4}, {"head_dim", 1024}};
  for (const auto& [key, value] : cases) {
    Copy copy("llama-gqa");
    copy.set(key, value);
    refuse(copy.path, esp::Errc::bad_input, std::string(key) == "num_hidden_layers" ? "is missing" : "config.json says [");
  }
  Copy fewer("llama-gqa");
  fewer.set("num_hidden_layers", 1);
  refuse(fewer.path, esp::Errc::bad_input, "model.layers.1.");
}

TEST_CASE("directories that are no model are refused with advice") {
  refuse("/nowhere/at/all", esp::Errc::bad_input, "no such directory");
  refuse(esp::test::golden_directory("llama-gqa") + "/config.json", esp::Errc::bad_input, "no such directory");
  refuse(esp::test::golden_directory("llama-gqa") + "/adapter", esp::Errc::bad_input, "this is an adapter");
  const TemporaryDirectory empty;
  refuse(empty.path().string(), esp::Errc::bad_input, "there is no config.json");
  Copy weightless("llama-gqa");
  std::filesystem::remove(weightless.path + "/model.safetensors");
  refuse(weightless.path, esp::Errc::bad_input, "neither model.safetensors nor model.safetensors.index.json");
  esp::test::spill(weightless.path + "/pytorch_model.bin", "x");
  refuse(weightless.path, esp::Errc::bad_input, "is a pickle, which is never read");
  Copy truncated("llama-gqa");
  std::filesystem::resize_file(truncated.path + "/model.safetensors", 20000);
  refuse(truncated.path, esp::Errc::bad_input, "model.safetensors");
  Copy garbled("llama-gqa");
  esp::test::spill(garbled.path + "/config.json", "{\"model_type\": ");
  refuse(garbled.path, esp::Errc::bad_input, "config.json");
  Copy list("llama-gqa");
  esp::test::spill(list.path + "/config.json", "[]");
  refuse(list.path, esp::Errc::bad_input, "expected an object");
  Copy twice("llama-gqa");
  esp::test::spill(twice.path + "/config.json", "{\"model_type\": \"llama\", \"model_type\": \"qwen2\"}");
  refuse(twice.path, esp::Errc::bad_input, "twice");
  Copy lost("llama-sharded");
  std::filesystem::remove(lost.path + "/model-00002-of-00003.safetensors");
  refuse(lost.path, esp::Errc::bad_input, "model-00002-of-00003.safetensors");
}

TEST_CASE("a sequence longer than a sliding window is refused, a shorter one is not") {
  const Golden golden("mistral");
  Copy copy("mistral");
  copy.set("sliding_window", 7);
  esp::Cpu<double> device;
  auto model = esp::load<esp::Llama<esp::Cpu<double>, esp::LowRankAdapter>>(device, copy.path);
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape), golden.numbers("logits64")) < 1e-12);
  const std::vector<int> longer(8, 1);
  CHECK_THROWS_WITH_AS(model.logits(longer, {1, 8}), doctest::Contains("sliding_window"), esp::Error);
}
