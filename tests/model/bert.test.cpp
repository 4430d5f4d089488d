// SPDX-License-Identifier: MIT
// BERT and RoBERTa from and to Hugging Face directories: what transformers and peft compute, and the laws of masks and files.
#include <doctest/doctest.h>
#include <espalier/io/json_file.hpp>
#include <filesystem>

#include "compiled_bert.hpp"
#include "dropped.hpp"
#include "golden.hpp"
#include "golden_gradients.hpp"
#include "model_files.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using namespace esp::test;
namespace json = esp::json;

namespace {

template <template <class> class Model, class T>
void expect_golden(const TextGolden& golden, double bound, double gradient_bound) {
  CAPTURE(golden.directory);
  const std::string bits = sizeof(T) == 8 ? "64" : "";
  esp::Cpu<T> device;
  auto model = esp::load<Model<T>>(device, golden.directory, {.rank = 1});
  CHECK(relative_gap(model.logits(golden.batch()), golden.numbers("logits" + bits)) < bound);
  CHECK(double(model.evaluate(golden.batch())) == doctest::Approx(golden.numbers("loss" + bits)[0]).epsilon(bound));
  esp::load_adapter(model, golden.directory + "/adapter");
  CHECK(relative_gap(model.logits(golden.batch()), golden.numbers("logits_adapter" + bits)) < bound);
  CHECK(double(model.loss(golden.batch())) == doctest::Approx(golden.numbers("loss_adapter" + bits)[0]).epsilon(bound));
  expect_gradients(model, golden, gradient_bound);
}

template <template <class> class Model>
void expect_golden(const char* its_class) {
  for (const std::string& name : golden_cases({its_class})) {
    expect_golden<Model, double>(TextGolden(name), 1e-12, 1e-10);
    expect_golden<Model, float>(TextGolden(name), 1e-5, 1e-4);
  }
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
  std::size_t leftovers = 0;
  for (const auto& t : before.tensors()) leftovers += t.name.ends_with("position_ids");
  CHECK(after.tensors().size() == before.tensors().size() - leftovers);
  for (const auto& t : after.tensors()) {
    std::string old = t.name;
    if (!before.contains(old)) {  // the old spelling
      if (old.starts_with("bert.")) old = old.substr(5);
      if (!before.contains(old) && old.ends_with("LayerNorm.weight")) old = old.substr(0, old.size() - 6) + "gamma";
      if (!before.contains(old) && old.ends_with("LayerNorm.bias")) old = old.substr(0, old.size() - 4) + "beta";
    }
    same_bytes(before, old, after, t.name);
  }
  auto changed = json::read_file((folder / "out") + "/config.json"), was = json::read_file(golden.directory + "/config.json");
  for (const auto& [key, value] : was.members())
    if (key != "dtype") CHECK(changed.at(key) == value);

  esp::load_adapter(model, golden.directory + "/adapter");
  esp::save_adapter(model, folder / "adapter", {.dtype = esp::Dtype::f32});
  const esp::SafetensorsFile peft(golden.directory + "/adapter/adapter_model.safetensors"),
      ours((folder / "adapter") + "/adapter_model.safetensors");
  CHECK(peft.tensors().size() == ours.tensors().size());
  for (const auto& t : peft.tensors()) same_bytes(peft, t.name, ours, t.name);
  const auto settings = json::read_file((folder / "adapter") + "/adapter_config.json");
  const auto theirs = json::read_file(golden.directory + "/adapter/adapter_config.json");
  for (const char* key : {"task_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern"}) CHECK(settings.at(key) == theirs.at(key));
  CHECK((settings.at("rank_pattern").size() == 1) == (std::string(name) == "bert-several"));
}
template <template <class> class Model>
void round_trips(const char* its_class) {
  for (const std::string& name : golden_cases({its_class})) round_trip<Model>(name);
}

}  // namespace

TEST_CASE("logits and loss are transformers'; with adapter and head, logits, loss and gradients are peft's") {
  expect_golden<BertClasses>("BertForSequenceClassification");
  expect_golden<BertMasked>("BertForMaskedLM");
  expect_golden<RobertaClasses>("RobertaForSequenceClassification");
  expect_golden<RobertaMasked>("RobertaForMaskedLM");
}

TEST_CASE("load and save leave every byte of the tensors as it was, and an adapter goes out as peft wrote it, head and all") {
  round_trips<BertClasses>("BertForSequenceClassification");
  round_trips<BertMasked>("BertForMaskedLM");
  round_trips<RobertaClasses>("RobertaForSequenceClassification");
  round_trips<RobertaMasked>("RobertaForMaskedLM");
}

TEST_CASE("masked == merged == compacted == what a padded file says") {
  const TextGolden golden("bert-classes");
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  auto model = esp::load<BertClasses<double>>(device, golden.directory, {.rank = 1});
  esp::load_adapter(model, golden.directory + "/adapter");
  const auto whole = model.logits(golden.batch());
  mask_some(model);
  const auto masked = model.logits(golden.batch());
  CHECK(relative_gap(masked, whole) > 1e-2);
  CHECK_THROWS_WITH_AS(esp::save(model, folder / "uniform", {.layout = esp::Layout::uniform}), doctest::Contains("layers of one shape"), esp::Error);
  const auto report = esp::save(model, folder / "padded", {.dtype = esp::Dtype::f64});
  CHECK(report.layout == esp::Layout::padded);
  CHECK(report.heads == 3);
  CHECK(report.pruned);
  auto padded = esp::load<BertClasses<double>>(device, folder / "padded");
  CHECK(relative_gap(padded.logits(golden.batch()), masked) < 1e-12);

  esp::compact(model);
  CHECK(relative_gap(model.logits(golden.batch()), masked) < 1e-12);
  esp::save(model, folder / "compacted", {.dtype = esp::Dtype::f64});
  auto again = esp::load<BertClasses<double>>(device, folder / "compacted");
  CHECK(relative_gap(again.logits(golden.batch()), masked) < 1e-12);
  const double before = model.loss(golden.batch());
  esp::merge(model);
  CHECK(relative_gap(model.logits(golden.batch()), masked) < 1e-12);
  CHECK(double(model.evaluate(golden.batch())) == doctest::Approx(before).epsilon(1e-12));
}

TEST_CASE("a new head starts at random for as many labels as asked, and goes out under stock names") {
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  auto roberta = esp::load<RobertaClasses<double>>(device, golden_directory("roberta-masked"), {.rank = 2}, 5, {.count = 4});
  std::vector<double> weight(4 * 12);
  device.download(roberta.head.classifier.out.weight.value.data, weight.data(), 48);
  double squares = 0;
  for (double w : weight) squares += w * w;
  CHECK(std::sqrt(squares / 48) == doctest::Approx(0.05).epsilon(0.3));  // initializer_range
  const TextGolden text("roberta-classes");
  const std::vector<int> classes{3, -100, 0};
  const esp::TextBatch batch{.tokens = text.tokens, .visible = text.visible, .labels = {.classes = classes}, .shape = text.shape};
  CHECK(double(roberta.loss(batch)) == doctest::Approx(std::log(4.0)).epsilon(0.2));
  esp::save(roberta, folder / "out", {.dtype = esp::Dtype::f64});
  const auto config = json::read_file((folder / "out") + "/config.json");
  CHECK(config.at("id2label").size() == 4);
  CHECK(config.at("label2id").at("LABEL_3") == json::Value(3));
  CHECK(config.at("architectures") == json::Value(json::Value::Array{json::Value("RobertaForSequenceClassification")}));
  auto again = esp::load<RobertaClasses<double>>(device, folder / "out");
  CHECK(relative_gap(again.logits(batch), roberta.logits(batch)) < 1e-14);
  CHECK_THROWS_WITH_AS((esp::load<RobertaClasses<double>>(device, folder / "out", {}, 0, {.count = 3})),
                       doctest::Contains("classifier.out_proj.weight has shape [4, 12]"), esp::Error);
}

TEST_CASE("a pooler that the files lack starts at random with a new classifier, learns as that does, and is saved beside the adapters") {
  const TextGolden text("bert-classes");
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  const std::string base = golden_directory("bert-masked"), adapter = folder / "adapter";  // a checkpoint of another task
  auto model = esp::load<BertClasses<double>>(device, base, {.rank = 2, .targets = {"query", "dense"}}, 5, {.count = 3});
  REQUIRE(model.head.classifier.first.learns());
  const auto& pooler = model.head.classifier.first.trained.weight;
  double squares = 0;
  for (esp::Index i = 0; i < 144; ++i) squares += pooler.value.data[i] * pooler.value.data[i];
  CHECK(std::sqrt(squares / 144) == doctest::Approx(0.05).epsilon(0.3));  // initializer_range
  CHECK(double(model.loss(text.batch())) == doctest::Approx(std::log(3.0)).epsilon(0.2));
  CHECK(std::any_of(pooler.grad.data, pooler.grad.data + 144, [](double g) { return std::abs(g) > 1e-6; }));

  esp::save_adapter(model, adapter, {.base = "base"});
  CHECK(json::read_file(adapter + "/adapter_config.json").at("modules_to_save") ==
        json::Value(json::Value::Array{json::Value("pooler"), json::Value("classifier")}));
  CHECK(esp::SafetensorsFile(adapter + "/adapter_model.safetensors").contains("base_model.model.bert.pooler.dense.weight"));
  const auto logits = model.logits(text.batch());
  auto again = esp::load<BertClasses<double>>(device, base, {}, 9, {.count = 3});
  CHECK(relative_gap(again.logits(text.batch()), logits) > 1e-2);
  esp::load_adapter(again, adapter);
  CHECK(relative_gap(again.logits(text.batch()), logits) < 1e-14);
  esp::save(again, folder / "out", {.dtype = esp::Dtype::f64});
  auto whole = esp::load<BertClasses<double>>(device, folder / "out");
  CHECK_FALSE(whole.head.classifier.first.learns());
  CHECK(relative_gap(whole.logits(text.batch()), logits) < 1e-12);

  // As PEFT writes it by default: nobody knows the pooler that the classifier was trained with.
  const std::string without = copy_without("base_model.model.bert.pooler.", adapter, folder / "without", "adapter_model.safetensors");
  auto config = json::read_file(without + "/adapter_config.json");
  config.set("modules_to_save", json::Value::Array{json::Value("classifier"), json::Value("score")});
  json::write_file(without + "/adapter_config.json", config);
  CHECK_THROWS_WITH_AS(esp::load_adapter(again, without), doctest::Contains("a head without bert.pooler.dense"), esp::Error);
}

TEST_CASE("a trained pooler is the function of a frozen one; a classifier without its pooler is refused") {
  const TextGolden golden("bert-classes");
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  const std::string bare = copy_without("bert.pooler.", golden.directory, folder / "bare");
  refuse<BertClasses<double>>(bare, esp::Errc::bad_input, "bert.pooler.dense.weight is missing");
  auto model = esp::load<BertClasses<double>>(device, bare, {}, 0, {.count = 3, .new_head = true});
  const esp::TensorFiles files(golden.directory);
  esp::Index maps = 0;
  esp::for_each_trained(model, [&](const std::string& path, auto& map) {
    esp::detail::read_parameter(device, files, path + ".weight", map.weight);
    esp::detail::read_parameter(device, files, path + ".bias", map.bias);
    ++maps;
  });
  CHECK(maps == 2);
  CHECK(relative_gap(model.logits(golden.batch()), golden.numbers("logits64")) < 1e-12);
}

TEST_CASE("a new head takes the place of one for other labels and forgets their names; what leads to it stays") {
  const TextGolden text("roberta-classes");
  const TemporaryDirectory folder;
  const std::string base = folder / "base";
  std::filesystem::copy(text.directory, base, std::filesystem::copy_options::recursive);
  auto config = json::read_file(base + "/config.json");
  esp::name_labels(config, {{"no", 0}, {"perhaps", 1}, {"yes", 2}});
  config.set("problem_type", "multi_label_classification");
  json::write_file(base + "/config.json", config);
  esp::Cpu<double> device;
  const auto numbers = [](const auto& p) { return std::vector<double>(p.value.data, p.value.data + p.size()); };
  auto old = esp::load<RobertaClasses<double>>(device, base);
  auto same = esp::load<RobertaClasses<double>>(device, base, {}, 5, {.count = 3, .new_head = true});
  CHECK(numbers(same.head.classifier.first.weight) == numbers(old.head.classifier.first.weight));
  CHECK(relative_gap(numbers(same.head.classifier.out.weight), numbers(old.head.classifier.out.weight)) > 0.5);
  CHECK(same.head.options.kind() == esp::Problem::one_label);
  CHECK_FALSE(same.head.options.new_head);
  CHECK((esp::label_names(same.source.config, 3)[1] == std::pair<std::string, int>{"LABEL_1", 1}));

  auto five = esp::load<RobertaClasses<double>>(device, base, {.rank = 2}, 5, {.count = 5, .new_head = true});
  CHECK(five.logits(text.batch()).size() == 15);
  esp::save(five, folder / "out", {.dtype = esp::Dtype::f64});
  const auto written = json::read_file(folder / "out/config.json");
  CHECK(written.at("id2label").size() == 5);
  CHECK_FALSE(written.contains("problem_type"));
  auto again = esp::load<RobertaClasses<double>>(device, folder / "out");
  CHECK(relative_gap(again.logits(text.batch()), five.logits(text.batch())) < 1e-14);
  CHECK_THROWS_WITH_AS((esp::load<RobertaClasses<double>>(device, base, {}, 0, {.count = 5})), doctest::Contains(".new_head = true"), esp::Error);

  // A pooler that is there stays what it is, frozen.
  auto bert = esp::load<BertClasses<double>>(device, golden_directory("bert-classes"), {}, 5, {.count = 5, .new_head = true});
  CHECK_FALSE(bert.head.classifier.first.learns());
  CHECK(bert.head.classifier.out.out() == 5);
}

TEST_CASE("an adapter with a head keeps what its labels are called, for a model that is loaded with it and for what that is saved as") {
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  const std::string base = golden_directory("roberta-masked"), adapter = folder / "adapter";
  auto model = esp::load<RobertaClasses<double>>(device, base, {.rank = 2}, 5, {.count = 3});
  esp::save_adapter(model, adapter);  // nobody has called them anything
  CHECK((esp::read_adapter_labels(adapter)->names[2] == std::pair<std::string, int>{"LABEL_2", 2}));
  esp::name_labels(model.source.config, {{"no", 0}, {"perhaps", 2}, {"yes", 1}});
  esp::save_adapter(model, adapter, {.overwrite = true});
  const auto written = json::read_file(adapter + "/espalier_labels.json");
  CHECK(written == json::parse(R"({"id2label": {"0": "no", "1": "yes", "2": "perhaps"}, "label2id": {"no": 0, "yes": 1, "perhaps": 2}})"));

  const auto labels = esp::read_adapter_labels(adapter);
  REQUIRE(labels);
  auto again = esp::load<RobertaClasses<double>>(device, base, {}, 0, labels->options);
  esp::load_adapter(again, adapter);
  CHECK(esp::label_names(again.source.config, 3) == labels->names);
  esp::save(again, folder / "out");
  CHECK(json::read_file(folder / "out/config.json").at("label2id") == written.at("label2id"));
  CHECK(json::read_file(folder / "out/config.json").at("id2label") == written.at("id2label"));

  auto two = esp::load<RobertaClasses<double>>(device, base, {}, 0, {.count = 2});
  CHECK_THROWS_WITH_AS(esp::load_adapter(two, adapter), doctest::Contains("a head for classification with 3 labels, and the model's is for classification with 2"),
                       esp::Error);
  auto several = esp::load<RobertaClasses<double>>(device, base, {.rank = 1}, 0, {.count = 3, .problem = esp::Problem::several_labels});
  CHECK_THROWS_WITH_AS(esp::load_adapter(several, adapter), doctest::Contains("several may hold"), esp::Error);
  esp::save_adapter(several, folder / "several");
  CHECK(esp::read_adapter_labels(folder / "several")->options.kind() == esp::Problem::several_labels);

  for (const auto& [text, words] : {std::pair{R"({"label2id": {"a": 0}})", "id2label is missing"}, {R"({"id2label": {"1": "a"}})", "other keys than 0 to 0"},
                                    {R"({"id2label": {"0": 7}})", "expected a string"}, {R"([])", "expected an object"}, {R"({"id2label": {"x": "a"}})", "other keys"}}) {
    esp::io::write_file_atomically(adapter + "/espalier_labels.json", std::string_view(text));
    CHECK_THROWS_WITH_AS(esp::load_adapter(again, adapter), doctest::Contains(words), esp::Error);
  }
  std::filesystem::remove(adapter + "/espalier_labels.json");  // as PEFT writes it: names are those of the model
  CHECK_NOTHROW(esp::load_adapter(again, adapter));
  CHECK(esp::label_names(again.source.config, 3) == labels->names);
}

TEST_CASE("a model that is trained drops what its configuration says, and the same again where the step is the same") {
  const TextGolden golden("bert-classes");
  const TemporaryDirectory folder;
  std::filesystem::copy(golden.directory, folder / "base", std::filesystem::copy_options::recursive);
  auto config = json::read_file(folder / "base/config.json");
  config.set("hidden_dropout_prob", 0.2), config.set("attention_probs_dropout_prob", 0.3), config.set("classifier_dropout", 0.4);
  json::write_file(folder / "base/config.json", config);
  esp::Cpu<double> device;
  auto model = esp::load<BertClasses<double>>(device, folder / "base", {.rank = 2});
  CHECK(model.stem.dropout.p == 0.2);
  CHECK(model.blocks()[1].attention.dropout.p == 0.3);
  CHECK(model.blocks()[1].attention_dropout.p == 0.2);
  CHECK(model.blocks()[1].output_dropout.p == 0.2);
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
  using Bert = BertClasses<double>;
  using Roberta = RobertaClasses<double>;
  expect_dropped<Bert>("bert-classes", TextGolden("bert-classes"),
                       {{"classifier", [](Bert& m, double p) { m.head.classifier.between.p = p; }}});
  expect_dropped<Roberta>("roberta-classes", TextGolden("roberta-classes"),
                          {{"classifier_input", [](Roberta& m, double p) { m.head.classifier.before.p = p; }},
                           {"classifier", [](Roberta& m, double p) { m.head.classifier.between.p = p; }}});
}

TEST_CASE("what is not supported, or does not fit, is refused by name") {
  const TemporaryDirectory folder;
  const auto with = [&](const char* name, const std::string& key, json::Value value) {
    const std::string path = folder / (name + key);
    std::filesystem::copy(golden_directory(name), path, std::filesystem::copy_options::recursive);
    auto config = json::read_file(path + "/config.json");
    config.set(key, std::move(value));
    json::write_file(path + "/config.json", config);
    return path;
  };
  const auto bert = [&](const std::string& key, json::Value value, esp::Errc code, const std::string& words) {
    refuse<BertClasses<double>>(with("bert-classes", key, std::move(value)), code, words);
  };
  bert("model_type", "roberta", esp::Errc::unsupported, "roberta");
  bert("position_embedding_type", "relative_key_query", esp::Errc::unsupported, "position_embedding_type is");
  bert("is_decoder", true, esp::Errc::unsupported, "is_decoder");
  bert("add_cross_attention", true, esp::Errc::unsupported, "add_cross_attention");
  bert("pruned_heads", json::Value::object({{"0", json::Value::Array{json::Value(1)}}}), esp::Errc::unsupported, "pruned_heads");
  bert("hidden_act", "mish", esp::Errc::unsupported, "mish");
  bert("problem_type", "ranking", esp::Errc::unsupported, "ranking");
  bert("num_attention_heads", 5, esp::Errc::bad_input, "no multiple of num_attention_heads");
  bert("hidden_size", 9, esp::Errc::bad_input, "has shape");
  bert("type_vocab_size", 3, esp::Errc::bad_input, "token_type_embeddings");
  bert("max_position_embeddings", 17, esp::Errc::bad_input, "position_embeddings");
  bert("intermediate_size", 19, esp::Errc::bad_input, "intermediate.dense.weight");
  bert("num_hidden_layers", 3, esp::Errc::bad_input, "bert.encoder.layer.2.attention.self.query.weight is missing");
  bert("hidden_dropout_prob", 1.0, esp::Errc::bad_input, "hidden_dropout_prob is 1");
  bert("pad_token_id", 40, esp::Errc::bad_input, "pad_token_id");
  bert("id2label", json::Value::object(), esp::Errc::bad_input, "id2label has 0 labels");
  refuse<BertMasked<double>>(with("bert-masked", "tie_word_embeddings", false), esp::Errc::unsupported, "tie_word_embeddings");
  refuse<RobertaClasses<double>>(golden_directory("bert-classes"), esp::Errc::unsupported, "roberta is");
  refuse<BertMasked<double>>(golden_directory("bert-classes"), esp::Errc::bad_input, "no head for hidden tokens");
}

TEST_CASE("a batch that does not fit is refused before anything is read beyond its end") {
  const TextGolden golden("roberta-classes");
  esp::Cpu<double> device;
  auto model = esp::load<RobertaClasses<double>>(device, golden.directory);
  const auto refused = [&](const esp::TextBatch& batch, const char* words) {
    CHECK_THROWS_WITH_AS(model.loss(batch), doctest::Contains(words), esp::Error);
  };
  auto batch = golden.batch();
  const std::vector<int> wrong(27, 40), two(27, 2), long_text(11, 5), one{0}, classes{0, 3, 1};
  const std::vector<double> values{1, 2, 3};
  batch.tokens = wrong, refused(batch, "there is 40 among tokens, expected 0 to 39");
  batch = golden.batch(), batch.segments = two, refused(batch, "among segments");
  batch = golden.batch(), batch.visible = two, refused(batch, "attention mask");
  batch = golden.batch(), batch.visible = one, refused(batch, "1 bits of the attention mask, expected 3 x 9");
  batch = golden.batch(), batch.labels = {.classes = one}, refused(batch, "expected a class each");
  batch = golden.batch(), batch.labels = {.classes = classes}, refused(batch, "class 3 is neither -100 nor one of 3");
  batch = golden.batch(), batch.labels = {.values = values}, refused(batch, "expected a class each");
  // Twelve positions, of which RoBERTa leaves two: ten tokens fit, eleven do not.
  CHECK_THROWS_WITH_AS(model.logits({.tokens = long_text, .shape = {1, 11}}), doctest::Contains("this model has 12"), esp::Error);
  CHECK_NOTHROW(model.logits({.tokens = std::span(long_text).first(10), .shape = {1, 10}}));
}
