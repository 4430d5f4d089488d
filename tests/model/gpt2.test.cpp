// SPDX-License-Identifier: MIT
// GPT-2 from and to Hugging Face directories: what transformers and peft compute, and the laws of masks and files.
#include <doctest/doctest.h>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/model/gpt2.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>
#include <filesystem>

#include "compiled_gpt2.hpp"
#include "dropped.hpp"
#include "golden_gradients.hpp"
#include "model_files.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using esp::test::Golden, esp::test::relative_gap, esp::test::TemporaryDirectory;
namespace json = esp::json;

namespace {

std::vector<std::string> cases() { return esp::test::golden_cases({"GPT2LMHeadModel"}); }
template <class T>
using Model = esp::Gpt2<esp::Cpu<T>, esp::LowRankAdapter>;

template <class T>
void expect_golden(const Golden& golden, double bound, double gradient_bound) {
  const std::string bits = sizeof(T) == 8 ? "64" : "";
  esp::Cpu<T> device;
  auto model = esp::load<Model<T>>(device, golden.directory, {.rank = 1});
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape), golden.numbers("logits" + bits)) < bound);
  CHECK(double(model.evaluate(golden.batch())) == doctest::Approx(golden.numbers("loss" + bits)[0]).epsilon(bound));
  esp::load_adapter(model, golden.directory + "/adapter");
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape), golden.numbers("logits_adapter" + bits)) < bound);
  CHECK(double(model.loss(golden.batch())) == doctest::Approx(golden.numbers("loss_adapter" + bits)[0]).epsilon(bound));
  esp::test::expect_gradients(model, golden, gradient_bound);
}

/// Masks other units in each layer: three quarters of the channels stay, and heads as asked.
template <class M>
void mask_some(M& model, bool heads) {
  model.groups([&](auto group) {
    std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
    if (group.kind == "heads" && heads) alive[std::size_t(group.layer) % alive.size()] = 0;
    if (group.kind == "channels")
      for (std::size_t u = std::size_t(group.layer); u < alive.size(); u += 4 - std::size_t(group.layer)) alive[u] = 0;
    group.mask->set(model.device(), alive);
  });
}

}  // namespace

TEST_CASE("logits and loss are transformers'; with the adapter, logits, loss and its gradients are peft's") {
  for (const std::string& name : cases()) {
    CAPTURE(name);
    expect_golden<double>(Golden(name), 1e-12, 1e-11);
    expect_golden<float>(Golden(name), 1e-5, 1e-4);
  }
}

TEST_CASE("a model that is trained drops what its configuration says, and the same again where the step is the same") {
  const Golden golden("gpt2");
  const TemporaryDirectory folder;
  std::filesystem::copy(golden.directory, folder / "base", std::filesystem::copy_options::recursive);
  auto config = json::read_file(folder / "base/config.json");
  config.set("resid_pdrop", 0.2), config.set("attn_pdrop", 0.3), config.set("embd_pdrop", 0.4);
  json::write_file(folder / "base/config.json", config);
  esp::Cpu<double> device;
  auto model = esp::load<Model<double>>(device, folder / "base", {.rank = 1});
  CHECK(model.model.dropout.p == 0.4);
  CHECK(model.blocks()[1].self_attn.dropout.p == 0.3);
  CHECK(model.blocks()[1].attention_dropout.p == 0.2);
  CHECK(model.blocks()[1].output_dropout.p == 0.2);
  const double plain = model.evaluate(golden.batch()), first = model.loss(golden.batch());
  CHECK(plain == doctest::Approx(golden.numbers("loss64")[0]).epsilon(1e-12));
  CHECK(std::abs(first - plain) > 1e-3);
  CHECK(double(model.loss(golden.batch())) == first);
  esp::save(model, folder / "out");
  const auto written = json::read_file(folder / "out/config.json");
  for (const char* key : {"resid_pdrop", "attn_pdrop", "embd_pdrop"}) CHECK(written.at(key) == config.at(key));
}

TEST_CASE("what is dropped while a model is trained is dropped where transformers drops it") {
  esp::test::expect_dropped<Model<double>>("gpt2", Golden("gpt2"));
}

TEST_CASE("recomputed blocks give the same gradients") {
  const Golden golden("gpt2");
  esp::Cpu<double> device;
  const auto gradients = [&](bool recompute) {
    auto model = esp::load<Model<double>>(device, golden.directory, {.rank = 1});
    esp::load_adapter(model, golden.directory + "/adapter");
    model.recompute = recompute;
    model.loss(golden.batch());
    return std::vector<double>(model.run.arena.grad(), model.run.arena.grad() + model.run.arena.size());
  };
  CHECK(gradients(true) == gradients(false));
}

TEST_CASE("load and save leave every byte of the tensors as it was") {
  for (const std::string& name : cases()) {
    CAPTURE(name);
    const Golden golden(name);
    const TemporaryDirectory folder;
    esp::Cpu<float> device;
    auto model = esp::load<Model<float>>(device, golden.directory);
    const auto report = esp::save(model, folder / "out");
    CHECK(report.layout == esp::Layout::uniform);
    CHECK_FALSE(report.pruned);
    const esp::SafetensorsFile before(golden.directory + "/model.safetensors"), after((folder / "out") + "/model.safetensors");
    CHECK(after.tensors().size() == (name == "gpt2-bare" ? before.tensors().size() - 2 : before.tensors().size()));
    for (const auto& t : after.tensors()) {
      const auto* old = before.find(t.name);
      if (old == nullptr) old = before.find(t.name.substr(std::string("transformer.").size()));
      REQUIRE(old != nullptr);
      CHECK((old->shape == t.shape && old->dtype == t.dtype));
      std::vector<std::byte> x(t.bytes), y(old->bytes);
      after.read(t, x), before.read(*old, y);
      CHECK(x == y);
    }
    auto changed = json::read_file((folder / "out") + "/config.json"), was = json::read_file(golden.directory + "/config.json");
    for (const auto& [key, value] : was.members())
      if (key != "dtype" && key != "n_inner") CHECK(changed.at(key) == value);
  }
}

TEST_CASE("masked == merged == compacted == what a padded file says") {
  for (const char* name : {"gpt2", "gpt2-bare"}) {
    CAPTURE(name);
    const Golden golden(name);
    const TemporaryDirectory folder;
    esp::Cpu<double> device;
    auto model = esp::load<Model<double>>(device, golden.directory, {.rank = 1});
    esp::load_adapter(model, golden.directory + "/adapter");
    const auto whole = model.logits(golden.tokens, golden.shape);
    mask_some(model, /*heads=*/true);
    const auto masked = model.logits(golden.tokens, golden.shape);
    CHECK(relative_gap(masked, whole) > 1e-2);

    CHECK_THROWS_WITH_AS(esp::save(model, folder / "uniform", {.layout = esp::Layout::uniform}),
                         doctest::Contains("layers of one shape"), esp::Error);
    const auto report = esp::save(model, folder / "padded", {.dtype = esp::Dtype::f64});
    CHECK(report.layout == esp::Layout::padded);
    CHECK(report.heads == 4);
    CHECK(report.pruned);
    auto padded = esp::load<Model<double>>(device, folder / "padded");
    CHECK(relative_gap(padded.logits(golden.tokens, golden.shape), masked) < 1e-12);

    esp::compact(model);
    CHECK(relative_gap(model.logits(golden.tokens, golden.shape), masked) < 1e-12);
    esp::save(model, folder / "compacted", {.dtype = esp::Dtype::f64});
    auto again = esp::load<Model<double>>(device, folder / "compacted");
    CHECK(relative_gap(again.logits(golden.tokens, golden.shape), masked) < 1e-12);
    esp::merge(model);
    CHECK(relative_gap(model.logits(golden.tokens, golden.shape), masked) < 1e-12);
  }
}

TEST_CASE("channels alone can be cut for good; heads cannot be said, and uniform says why") {
  const Golden golden("gpt2");
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  auto model = esp::load<Model<double>>(device, golden.directory);
  const auto keep_even = [&](const char* kind) {
    model.groups([&](auto group) {
      std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
      for (std::size_t u = 1; u < alive.size() && group.kind == kind; u += 2) alive[u] = 0;
      group.mask->set(device, alive);
    });
  };
  keep_even("channels");
  const auto masked = model.logits(golden.tokens, golden.shape);
  const auto report = esp::save(model, folder / "narrow", {.dtype = esp::Dtype::f64});
  CHECK(report.layout == esp::Layout::uniform);
  CHECK(report.feed_forward == 48);
  auto narrow = esp::load<Model<double>>(device, folder / "narrow");
  CHECK(narrow.config.feed_forward == 48);
  CHECK(relative_gap(narrow.logits(golden.tokens, golden.shape), masked) < 1e-12);

  keep_even("heads");
  const auto fewer = model.logits(golden.tokens, golden.shape);
  CHECK_THROWS_WITH_AS(esp::save(model, folder / "uniform", {.layout = esp::Layout::uniform}),
                       doctest::Contains("2 of 4 heads are left"), esp::Error);
  CHECK(esp::save(model, folder / "padded", {.dtype = esp::Dtype::f64}).layout == esp::Layout::padded);
  auto padded = esp::load<Model<double>>(device, folder / "padded");
  CHECK(relative_gap(padded.logits(golden.tokens, golden.shape), fewer) < 1e-12);
}

TEST_CASE("an adapter goes out as peft wrote it, fused projections and all") {
  for (const std::string& name : cases()) {
    CAPTURE(name);
    const Golden golden(name);
    const TemporaryDirectory folder;
    esp::Cpu<float> device;
    auto model = esp::load<Model<float>>(device, golden.directory);
    esp::load_adapter(model, golden.directory + "/adapter");
    esp::save_adapter(model, folder / "adapter");
    const esp::SafetensorsFile before(golden.directory + "/adapter/adapter_model.safetensors"),
        after((folder / "adapter") + "/adapter_model.safetensors");
    REQUIRE(after.tensors().size() == before.tensors().size());
    for (const auto& t : before.tensors()) {
      std::vector<std::byte> x(t.bytes), y(t.bytes);
      before.read(t, x), after.read(after.info(t.name), y);
      CHECK(x == y);
    }
    const auto ours = json::read_file(folder / "adapter/adapter_config.json"), theirs = json::read_file(golden.directory + "/adapter/adapter_config.json");
    for (const char* key : {"fan_in_fan_out", "r", "lora_alpha", "rank_pattern", "alpha_pattern"}) CHECK(ours.at(key) == theirs.at(key));
    CHECK((ours.at("rank_pattern").size() == 1) == (std::string(name) == "gpt2-odd"));
  }
}

TEST_CASE("what is not supported, or does not fit, is refused by name") {
  const TemporaryDirectory folder;
  const auto with = [&](const std::string& key, json::Value value) {
    const std::string path = folder / key;
    std::filesystem::copy(esp::test::golden_directory("gpt2"), path, std::filesystem::copy_options::recursive);
    auto config = json::read_file(path + "/config.json");
    config.set(key, std::move(value));
    json::write_file(path + "/config.json", config);
    return path;
  };
  esp::test::refuse<Model<float>>(with("model_type", "gpt3"), esp::Errc::unsupported, "gpt3");
  esp::test::refuse<Model<float>>(with("n_head", 5), esp::Errc::bad_input, "no multiple of n_head");
  esp::test::refuse<Model<float>>(with("n_embd", 28), esp::Errc::bad_input, "has shape");
  esp::test::refuse<Model<float>>(with("n_positions", 17), esp::Errc::bad_input, "transformer.wpe.weight");
  esp::test::refuse<Model<float>>(with("n_inner", 95), esp::Errc::bad_input, "c_fc");
  esp::test::refuse<Model<float>>(with("n_layer", 3), esp::Errc::bad_input, "transformer.h.2.ln_1.weight is missing");
  esp::test::refuse<Model<float>>(with("activation_function", "mish"), esp::Errc::unsupported, "mish");
  esp::test::refuse<Model<float>>(with("add_cross_attention", true), esp::Errc::unsupported, "add_cross_attention");
  esp::test::refuse<Model<float>>(with("tie_word_embeddings", false), esp::Errc::bad_input, "lm_head.weight is missing");
  esp::test::refuse<Model<float>>(with("layer_norm_epsilon", -1), esp::Errc::bad_input, "layer_norm_epsilon");

  const Golden golden("gpt2");
  esp::Cpu<float> device;
  auto model = esp::load<Model<float>>(device, golden.directory);
  const std::vector<int> long_text(17, 1);
  CHECK_THROWS_WITH_AS(model.logits(long_text, {1, 17}), doctest::Contains("16 learned positions"), esp::Error);
}
