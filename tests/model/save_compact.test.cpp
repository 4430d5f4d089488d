// SPDX-License-Identifier: MIT
// Layout compact: every layer in its own shape, there and back.
#include <doctest/doctest.h>

#include <espalier/io/json_file.hpp>
#include <filesystem>

#include "compiled_files.hpp"
#include "compiled_gpt2.hpp"
#include "golden.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
namespace json = esp::json;
using esp::Index, esp::Layout;
using esp::test::Golden, esp::test::relative_gap, esp::test::slurp, esp::test::TemporaryDirectory;
using Device = esp::Cpu<double>;
using Llama = esp::Llama<Device, esp::LowRankAdapter>;
using Gpt2 = esp::Gpt2<Device, esp::LowRankAdapter>;

namespace {

/// Other widths in every layer. One group of heads is the least.
template <class Model>
void mask_unevenly(Model& model) {
  model.groups([&](auto&& group) {
    std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
    for (std::size_t u = std::size_t(group.layer); u + 1 < alive.size(); u += 3 - std::size_t(group.layer % 2)) alive[u] = 0;
    group.mask->set(model.device(), alive);
  });
}

template <class Model>
void there_and_back(const char* name) {
  CAPTURE(name);
  const Golden golden(name);
  const TemporaryDirectory folder;
  Device device;
  auto model = esp::load<Model>(device, golden.directory, {.rank = 2});
  esp::load_adapter(model, golden.directory + "/adapter");
  const auto dense = model.logits(golden.tokens, golden.shape);
  mask_unevenly(model);
  const auto masked = model.logits(golden.tokens, golden.shape);
  REQUIRE(relative_gap(masked, dense) > 1e-3);
  const auto report = esp::save(model, folder / "compact", {.layout = Layout::compact, .dtype = esp::Dtype::f64});
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0].find("trust_remote_code=True") != std::string::npos);
  esp::save(model, folder / "padded", {.layout = Layout::padded, .dtype = esp::Dtype::f64});

  auto again = esp::load<Model>(device, folder / "compact");
  CHECK(relative_gap(again.logits(golden.tokens, golden.shape), masked) < 1e-12);
  // What is in the file is what is left of the model, and no number more.
  esp::merge(model);
  esp::compact(model);
  CHECK(report.parameters == esp::count_parameters(model));
  CHECK(esp::count_parameters(again) == esp::count_parameters(model));
  esp::save(model, folder / "compacted", {.layout = Layout::compact, .dtype = esp::Dtype::f64});
  esp::save(again, folder / "again", {.layout = Layout::compact});
  for (const char* other : {"compacted", "again"}) {
    CAPTURE(other);
    for (const char* file : {"config.json", "model.safetensors", "modeling_espalier.py", "espalier_plan.json"})
      CHECK(slurp(folder / std::string(other) + "/" + file) == slurp(folder / std::string("compact/") + file));
  }
  // And back to what a stock class loads.
  CHECK(esp::save(again, folder / "stock", {.layout = Layout::padded}).layout == Layout::padded);
  CHECK(slurp(folder / "stock/model.safetensors") == slurp(folder / "padded/model.safetensors"));
  CHECK(json::read_file(folder / "stock/config.json") == json::read_file(folder / "padded/config.json"));
  CHECK_FALSE(std::filesystem::exists(folder / "stock/modeling_espalier.py"));
}

/// A compact directory whose config.json somebody has changed.
struct Changed {
  explicit Changed(const TemporaryDirectory& folder) : directory(folder / "compact"), good(json::read_file(directory + "/config.json")) {}
  template <class Change>
  void refused(esp::Errc code, const std::string& words, Change&& change) const {
    json::Value config = good;
    change(config);
    json::write_file(directory + "/config.json", config);
    Device device;
    try {
      esp::load<Llama>(device, directory);
      FAIL_CHECK("nothing was refused: " << words);
    } catch (const esp::Error& e) {
      INFO(e.what());
      CHECK(e.code() == code);
      CHECK(std::string(e.what()).find(words) != std::string::npos);
    }
  }
  std::string directory;
  json::Value good;
};

}  // namespace

TEST_CASE("masked, compacted and compact are one function, for every model type; what is reloaded is what was saved") {
  for (const char* name : {"llama-gqa", "llama-mha", "llama-bias", "llama-tied", "llama-head-dim", "llama-rope-llama3", "mistral", "qwen2", "qwen3"})
    there_and_back<Llama>(name);
  for (const char* name : {"gpt2", "gpt2-odd", "gpt2-bare"}) there_and_back<Gpt2>(name);
}

TEST_CASE("a compact directory says what it needs to be loaded") {
  const Golden golden("qwen3");
  const TemporaryDirectory folder;
  Device device;
  auto model = esp::load<Llama>(device, golden.directory);
  mask_unevenly(model);
  esp::save(model, folder / "out", {.layout = Layout::compact});
  const auto config = json::read_file(folder / "out/config.json"), source = json::read_file(golden.directory + "/config.json");
  CHECK(config.text("model_type") == "espalier_qwen3");
  CHECK(config.at("architectures").at(0).as_string() == "EspalierQwen3ForCausalLM");
  CHECK(config.at("auto_map").text("AutoConfig") == "modeling_espalier.EspalierQwen3Config");
  CHECK(config.at("auto_map").text("AutoModelForCausalLM") == "modeling_espalier.EspalierQwen3ForCausalLM");
  CHECK(config.at("layer_widths").size() == 2);
  CHECK(config.index("num_attention_heads") == source.index("num_attention_heads"));  // the stock class must accept the rest
  const std::string code = slurp(folder / "out/modeling_espalier.py");
  CHECK(code.find("class EspalierQwen3ForCausalLM(Qwen3ForCausalLM):") != std::string::npos);
  CHECK(code.find("model_type = \"espalier_qwen3\"") != std::string::npos);
  CHECK(code.find_first_of("@$") == std::string::npos);
  CHECK(esp::save(model, folder / "plain").layout == Layout::padded);  // nobody gets code who did not ask for it
}

TEST_CASE("hostile widths are refused before any memory is taken") {
  const TemporaryDirectory folder;
  Device device;
  auto model = esp::load<Llama>(device, esp::test::golden_directory("llama-gqa"));
  mask_unevenly(model);
  esp::save(model, folder / "compact", {.layout = Layout::compact});
  const Changed changed(folder);
  using esp::Errc, json::Value;
  const auto first = [](Value& c, const char* key, Value value) { c.find("layer_widths")->elements()[0].set(key, std::move(value)); };
  changed.refused(Errc::bad_input, "layer_widths is not there", [](Value& c) { c.erase("layer_widths"); });
  changed.refused(Errc::bad_input, "not a list", [](Value& c) { c.set("layer_widths", 7); });
  changed.refused(Errc::bad_input, "1 entries for 2 layers", [](Value& c) { c.find("layer_widths")->elements().pop_back(); });
  changed.refused(Errc::bad_input, "layer_widths[0]: expected an object", [](Value& c) { c.find("layer_widths")->elements()[0] = "wide"; });
  for (const char* key : {"heads", "key_value_heads", "feed_forward"}) {
    for (const Index bad : {Index(0), Index(-3), Index{1} << 40}) changed.refused(Errc::bad_input, key, [&](Value& c) { first(c, key, bad); });
    changed.refused(Errc::bad_input, key, [&](Value& c) { first(c, key, 2.5); });
    changed.refused(Errc::bad_input, std::string(key) + " is missing", [&](Value& c) { first(c, key, Value()); });
  }
  changed.refused(Errc::bad_input, "3 heads cannot share 2 key-value heads evenly", [&](Value& c) { first(c, "heads", 3), first(c, "key_value_heads", 2); });
  changed.refused(Errc::bad_input, "heads x head_dim", [&](Value& c) { first(c, "heads", Index{1} << 22), first(c, "key_value_heads", Index{1} << 21); });
  changed.refused(Errc::bad_input, "has shape", [&](Value& c) { first(c, "feed_forward", Index{1} << 22); });
  changed.refused(Errc::bad_input, "model_type is none that reads it", [](Value& c) { c.set("model_type", "llama"); });
  changed.refused(Errc::unsupported, "lama2", [](Value& c) { c.set("model_type", "espalier_lama2"); });
  changed.refused(Errc::unsupported, "'espalier_llama'", [](Value& c) { c.set("model_type", "espalier_espalier_llama"); });
}

TEST_CASE("a layer without any unit is refused before anything is written") {
  const TemporaryDirectory folder;
  Device device;
  auto model = esp::load<Llama>(device, esp::test::golden_directory("llama-gqa"));
  model.groups([&](auto&& group) {
    if (group.kind == "channels" && group.layer == 1) group.mask->set(device, std::vector<std::uint8_t>(std::size_t(group.units()), 0));
  });
  CHECK_THROWS_WITH_AS(esp::save(model, folder / "out", {.layout = Layout::compact}), doctest::Contains("layer 1 channels"), esp::Error);
  CHECK(folder.entries() == 0);
}
