// SPDX-License-Identifier: MIT
// DeBERTa from and to Hugging Face directories: what transformers and peft compute, and the laws of masks and files.
#include <doctest/doctest.h>
#include <espalier/io/json_file.hpp>
#include <filesystem>

#include "compiled_deberta.hpp"
#include "dropped.hpp"
#include "golden_gradients.hpp"
#include "model_files.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using namespace esp::test;
namespace json = esp::json;

namespace {

/// Logits in places that are no padding: what stands in the others, nobody looks at.
template <class T>
std::vector<double> seen(const TextGolden& golden, const std::vector<T>& logits, bool per_token) {
  std::vector<double> some;
  const std::size_t width = logits.size() / golden.tokens.size();
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (!per_token || golden.visible[i / width] != 0) some.push_back(double(logits[i]));
  return some;
}

template <template <class> class Model, class T>
void expect_golden(const std::string& name, double bound, double gradient_bound) {
  CAPTURE(name);
  const TextGolden golden(name);
  const std::string bits = sizeof(T) == 8 ? "64" : "";
  esp::Cpu<T> device;
  auto model = esp::load<Model<T>>(device, golden.directory, {.rank = 1});
  const bool per_token = Model<T>::kTask.empty();
  const auto gap = [&](const std::string& what) {
    return relative_gap(seen(golden, model.logits(golden.batch()), per_token), seen(golden, golden.numbers(what + bits), per_token));
  };
  CHECK(gap("logits") < bound);
  CHECK(double(model.evaluate(golden.batch())) == doctest::Approx(golden.numbers("loss" + bits)[0]).epsilon(bound));
  esp::load_adapter(model, golden.directory + "/adapter");
  CHECK(gap("logits_adapter") < bound);
  CHECK(double(model.loss(golden.batch())) == doctest::Approx(golden.numbers("loss_adapter" + bits)[0]).epsilon(bound));
  esp::test::expect_gradients(model, golden, gradient_bound);
}

template <template <class> class Model>
void round_trip(const std::string& name) {
  CAPTURE(name);
  const TextGolden golden(name);
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  auto model = esp::load<Model<double>>(device, golden.directory);
  const auto report = esp::save(model, folder / "out");
  CHECK(report.layout == esp::Layout::uniform);
  CHECK_FALSE(report.pruned);
  const esp::SafetensorsFile before(golden.directory + "/model.safetensors"), after((folder / "out") + "/model.safetensors");
  CHECK(after.tensors().size() == before.tensors().size());
  for (const auto& t : after.tensors()) same_bytes(before, before.contains(t.name) ? t.name : t.name.substr(8), after, t.name);
  const auto changed = json::read_file((folder / "out") + "/config.json"), was = json::read_file(golden.directory + "/config.json");
  for (const auto& [key, value] : was.members()) {
    if (key != "dtype") CHECK(changed.at(key) == value);
  }

  esp::load_adapter(model, golden.directory + "/adapter");
  esp::save_adapter(model, folder / "adapter", {.dtype = esp::Dtype::f32});
  const esp::SafetensorsFile peft(golden.directory + "/adapter/adapter_model.safetensors"),
      ours((folder / "adapter") + "/adapter_model.safetensors");
  CHECK(peft.tensors().size() == ours.tensors().size());
  for (const auto& t : peft.tensors()) same_bytes(peft, t.name, ours, t.name);
}

}  // namespace

TEST_CASE("logits and loss are transformers'; with adapter and head, logits, loss and gradients are peft's") {
  for (const std::string& name : golden_cases({"DebertaV2ForSequenceClassification"})) {
    expect_golden<DebertaClasses, double>(name, 1e-12, 1e-10);
    expect_golden<DebertaClasses, float>(name, 1e-5, 1e-4);
  }
  for (const std::string& name : golden_cases({"DebertaV2ForMaskedLM"})) {
    expect_golden<DebertaMasked, double>(name, 1e-12, 1e-10);
    expect_golden<DebertaMasked, float>(name, 1e-5, 1e-4);
  }
}

TEST_CASE("load and save leave every byte of the tensors as it was, and an adapter goes out as peft wrote it, head and all") {
  for (const std::string& name : golden_cases({"DebertaV2ForSequenceClassification"})) round_trip<DebertaClasses>(name);
  for (const std::string& name : golden_cases({"DebertaV2ForMaskedLM"})) round_trip<DebertaMasked>(name);
}

TEST_CASE("masked == merged == compacted == what a padded file says, with shared maps and with maps of positions' own") {
  for (const char* name : {"deberta-classes", "deberta-apart", "deberta-convolution"}) {
    CAPTURE(name);
    const TextGolden golden(name);
    const TemporaryDirectory folder;
    esp::Cpu<double> device;
    auto model = esp::load<DebertaClasses<double>>(device, golden.directory, {.rank = 1});
    esp::load_adapter(model, golden.directory + "/adapter");
    const auto whole = model.logits(golden.batch());
    mask_some(model);
    const auto masked = model.logits(golden.batch());
    CHECK(relative_gap(masked, whole) > 1e-2);
    CHECK_THROWS_WITH_AS(esp::save(model, folder / "uniform", {.layout = esp::Layout::uniform}), doctest::Contains("layout uniform"), esp::Error);
    const auto report = esp::save(model, folder / "padded", {.dtype = esp::Dtype::f64});
    CHECK(report.layout == esp::Layout::padded);
    CHECK(report.heads == model.config.hidden / model.config.head_dim);
    CHECK(report.pruned);
    auto padded = esp::load<DebertaClasses<double>>(device, folder / "padded");
    CHECK(relative_gap(padded.logits(golden.batch()), masked) < 1e-12);

    model.loss(golden.batch());
    std::vector<double> gradients, fewer;
    const auto squares = [&](std::vector<double>& to) {  // of what a masked unit has none of
      esp::for_each_parameter(model, [&](const std::string&, auto& p) {
        double sum = 0;
        for (esp::Index i = 0; i < p.size(); ++i) sum += p.grad.data[i] * p.grad.data[i];
        to.push_back(sum);
      });
    };
    squares(gradients);
    esp::compact(model);
    CHECK(relative_gap(model.logits(golden.batch()), masked) < 1e-12);
    esp::for_each_parameter(model, [](const std::string&, auto& p) { std::fill(p.grad.data, p.grad.data + p.size(), 0.0); });
    const double before = model.loss(golden.batch());
    squares(fewer);
    CHECK(relative_gap(fewer, gradients) < 1e-12);
    esp::save(model, folder / "compacted", {.dtype = esp::Dtype::f64});
    auto again = esp::load<DebertaClasses<double>>(device, folder / "compacted");
    CHECK(relative_gap(again.logits(golden.batch()), masked) < 1e-12);
    esp::merge(model);
    CHECK(relative_gap(model.logits(golden.batch()), masked) < 1e-12);
    CHECK(double(model.evaluate(golden.batch())) == doctest::Approx(before).epsilon(1e-12));
  }
}

TEST_CASE("pooler and classifier of a checkpoint without them start at random; a base model's file will do") {
  const TextGolden golden("deberta-masked");
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  auto model = esp::load<DebertaClasses<double>>(device, golden.directory, {.rank = 2}, 5, {.count = 4});
  std::vector<double> weight(12 * 12);
  device.download(model.head.classifier.first.weight.value.data, weight.data(), 144);
  double squares = 0;
  for (double w : weight) squares += w * w;
  CHECK(std::sqrt(squares / 144) == doctest::Approx(0.05).epsilon(0.3));  // initializer_range
  const std::vector<int> classes{3, -100, 0};
  const esp::TextBatch batch{.tokens = golden.tokens, .visible = golden.visible, .labels = {.classes = classes}, .shape = golden.shape};
  CHECK(double(model.loss(batch)) == doctest::Approx(std::log(4.0)).epsilon(0.2));
  esp::save(model, folder / "out", {.dtype = esp::Dtype::f64});
  CHECK(json::read_file((folder / "out") + "/config.json").at("architectures") ==
        json::Value(json::Value::Array{json::Value("DebertaV2ForSequenceClassification")}));
  auto again = esp::load<DebertaClasses<double>>(device, folder / "out");
  CHECK(relative_gap(again.logits(batch), model.logits(batch)) < 1e-14);
  esp::save_adapter(model, folder / "adapter", {.base = "base"});
  CHECK(json::read_file((folder / "adapter") + "/adapter_config.json").at("modules_to_save") ==
        json::Value(json::Value::Array{json::Value("pooler"), json::Value("classifier")}));
}

TEST_CASE("a model that is trained drops what its configuration says, and the same again where the step is the same") {
  const TextGolden golden("deberta-classes");
  const TemporaryDirectory folder;
  std::filesystem::copy(golden.directory, folder / "base", std::filesystem::copy_options::recursive);
  auto config = json::read_file(folder / "base/config.json");
  config.set("hidden_dropout_prob", 0.2), config.set("attention_probs_dropout_prob", 0.3);
  config.set("cls_dropout", 0.4), config.set("pooler_dropout", 0.1);
  json::write_file(folder / "base/config.json", config);
  esp::Cpu<double> device;
  auto model = esp::load<DebertaClasses<double>>(device, folder / "base", {.rank = 2});
  CHECK(model.stem.dropout.p == 0.2);
  CHECK(model.blocks()[1].attention.dropout.p == 0.3);
  CHECK(model.blocks()[1].attention.position_dropout.p == 0.2);
  CHECK(model.blocks()[1].attention_dropout.p == 0.2);
  CHECK(model.blocks()[1].output_dropout.p == 0.2);
  CHECK(model.stem.convolution.dropout.p == 0.2);
  CHECK(model.head.classifier.before.p == 0.1);
  CHECK(model.head.classifier.between.p == 0.4);
  auto batch = golden.batch();
  const double plain = model.evaluate(batch), first = model.loss(batch);
  CHECK(plain == doctest::Approx(golden.numbers("loss64")[0]).epsilon(1e-12));
  CHECK(std::abs(first - plain) > 1e-3);
  CHECK(double(model.loss(batch)) == first);
  model.stem.blocks.recompute = true;
  CHECK(double(model.loss(batch)) == first);
  batch.micro = 1;
  CHECK(double(model.loss(batch)) != first);
}

TEST_CASE("what is dropped while a model is trained is dropped where transformers drops it") {
  using M = DebertaClasses<double>;
  expect_dropped<M>("deberta-convolution", TextGolden("deberta-convolution"),
                    {{"positions", [](M& m, double p) { for (auto& block : m.blocks()) block.attention.position_dropout.p = p; }},
                     {"convolution", [](M& m, double p) { m.stem.convolution.dropout.p = p; }},
                     {"classifier_input", [](M& m, double p) { m.head.classifier.before.p = p; }},
                     {"classifier", [](M& m, double p) { m.head.classifier.between.p = p; }}});
}

TEST_CASE("what is not supported, or does not fit, is refused by name") {
  const TemporaryDirectory folder;
  const auto with = [&](const char* name, const std::string& key, json::Value value) {
    const std::string path = folder / (name + key);
    std::filesystem::remove_all(path);
    std::filesystem::copy(golden_directory(name), path, std::filesystem::copy_options::recursive);
    auto config = json::read_file(path + "/config.json");
    config.set(key, std::move(value));
    json::write_file(path + "/config.json", config);
    return path;
  };
  const auto deberta = [&](const std::string& key, json::Value value, esp::Errc code, const std::string& words) {
    refuse<DebertaClasses<double>>(with("deberta-classes", key, std::move(value)), code, words);
  };
  deberta("model_type", "deberta", esp::Errc::unsupported, "deberta-v2 is");
  refuse<DebertaClasses<double>>(with("deberta-convolution", "conv_groups", 2), esp::Errc::unsupported, "conv_groups is 2");
  refuse<DebertaClasses<double>>(with("deberta-convolution", "conv_act", "tanh"), esp::Errc::unsupported, "conv_act is");
  refuse<DebertaClasses<double>>(with("deberta-convolution", "conv_kernel_size", 4), esp::Errc::bad_input, "expected an odd number");
  refuse<DebertaClasses<double>>(with("deberta-convolution", "conv_kernel_size", 0), esp::Errc::bad_input, "encoder.conv.");
  deberta("embedding_size", 8, esp::Errc::unsupported, "embedding_size is 8");
  deberta("attention_head_size", 8, esp::Errc::unsupported, "attention_head_size is 8");
  deberta("pooler_hidden_size", 8, esp::Errc::unsupported, "pooler_hidden_size is 8");
  deberta("pooler_hidden_act", "tanh", esp::Errc::unsupported, "pooler_hidden_act is");
  deberta("pos_att_type", "p2p|c2p", esp::Errc::unsupported, "pos_att_type has");
  deberta("pos_att_type", json::Value::Array{json::Value(3)}, esp::Errc::bad_input, "pos_att_type");
  deberta("norm_rel_ebd", "batch_norm", esp::Errc::unsupported, "norm_rel_ebd has");
  deberta("quantization_config", json::Value::object({{"bits", 4}}), esp::Errc::unsupported, "quantization_config");
  deberta("position_buckets", 22, esp::Errc::bad_input, "position_buckets is 22");
  deberta("position_buckets", 1, esp::Errc::bad_input, "position_buckets is 1");
  deberta("position_buckets", 8, esp::Errc::bad_input, "deberta.encoder.rel_embeddings.weight has shape [12, 12]");
  deberta("relative_attention", false, esp::Errc::bad_input, "deberta.encoder.rel_embeddings.weight");
  deberta("share_att_key", false, esp::Errc::bad_input, "pos_key_proj.weight is missing");
  deberta("type_vocab_size", 2, esp::Errc::bad_input, "token_type_embeddings.weight is missing");
  deberta("position_biased_input", true, esp::Errc::bad_input, "position_embeddings.weight is missing");
  deberta("num_attention_heads", 5, esp::Errc::bad_input, "no multiple of num_attention_heads");
  deberta("cls_dropout", 1.0, esp::Errc::bad_input, "cls_dropout is 1");
  refuse<DebertaMasked<double>>(with("deberta-masked", "tie_word_embeddings", false), esp::Errc::unsupported, "tie_word_embeddings");
  refuse<DebertaMasked<double>>(with("deberta-published", "legacy", json::Value()), esp::Errc::bad_input,
                                "the files have this head as lm_predictions.*: set \"legacy\": false in config.json");
  refuse<DebertaMasked<double>>(with("deberta-masked", "legacy", false), esp::Errc::bad_input, "set \"legacy\": true in config.json");

  esp::Cpu<double> device;
  auto model = esp::load<DebertaClasses<double>>(device, golden_directory("deberta-apart"));
  const std::vector<int> tokens(13, 5), wrong{40};
  CHECK_THROWS_WITH_AS(model.logits({.tokens = tokens, .shape = {1, 13}}), doctest::Contains("this model has 12 positions"), esp::Error);
  CHECK_THROWS_WITH_AS(model.logits({.tokens = wrong, .shape = {1, 1}}), doctest::Contains("there is 40 among tokens"), esp::Error);
  CHECK(model.stem.longest(model.config) == 12);
  // Without absolute positions any length will do.
  auto relative = esp::load<DebertaClasses<double>>(device, golden_directory("deberta-classes"));
  CHECK_NOTHROW(relative.logits({.tokens = tokens, .shape = {1, 13}}));
  CHECK(relative.stem.longest(relative.config) > esp::Index{1} << 40);
}
