// SPDX-License-Identifier: MIT
// ViT from and to Hugging Face directories: what transformers and peft compute, and the laws of masks and files.
#include <doctest/doctest.h>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/model/example_options.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>
#include <espalier/model/vit_files.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/train/evaluate_examples.hpp>
#include <espalier/train/trainer.hpp>
#include <filesystem>
#include <type_traits>

#include "dropped.hpp"
#include "golden_gradients.hpp"
#include "temporary_directory.hpp"
#include "training_log.hpp"

namespace esp = espalier;
using esp::test::golden_directory, esp::test::relative_gap, esp::test::TemporaryDirectory;
namespace json = esp::json;

namespace {

template <class T>
using Vit = esp::VitForImageClassification<esp::Cpu<T>, esp::LowRankAdapter>;
std::vector<std::string> cases() { return esp::test::golden_cases({"ViTForImageClassification"}); }

/// The images that went in, and what transformers and peft made of them.
struct Golden {
  explicit Golden(const std::string& name)
      : directory(golden_directory(name)), file(directory + "/golden.safetensors"), shape(file.info("pixel_values").shape) {
    for (double x : numbers("pixel_values")) pixels.push_back(float(x));
    std::vector<std::int64_t> labels(static_cast<std::size_t>(shape[0]));
    file.read("labels", std::as_writable_bytes(std::span(labels)));
    classes.assign(labels.begin(), labels.end());
  }
  esp::ImageBatch batch() const {
    return {.pixels = pixels, .batch = shape[0], .channels = shape[1], .height = shape[2], .width = shape[3], .labels = {.classes = classes}};
  }
  std::vector<double> numbers(const std::string& name) const {
    std::vector<double> x(static_cast<std::size_t>(file.info(name).elements()));
    file.read_numbers(name, std::span(x));
    return x;
  }
  std::string directory;
  esp::SafetensorsFile file;
  std::vector<esp::Index> shape;
  std::vector<float> pixels;
  std::vector<int> classes;
};

template <class T>
void expect_golden(const Golden& golden, double bound, double gradient_bound) {
  const std::string bits = sizeof(T) == 8 ? "64" : "";
  esp::Cpu<T> device;
  auto model = esp::load<Vit<T>>(device, golden.directory, {.rank = 1});
  CHECK(relative_gap(model.logits(golden.batch()), golden.numbers("logits" + bits)) < bound);
  CHECK(double(model.evaluate(golden.batch())) == doctest::Approx(golden.numbers("loss" + bits)[0]).epsilon(bound));
  esp::load_adapter(model, golden.directory + "/adapter");
  CHECK(relative_gap(model.logits(golden.batch()), golden.numbers("logits_adapter" + bits)) < bound);
  CHECK(double(model.loss(golden.batch())) == doctest::Approx(golden.numbers("loss_adapter" + bits)[0]).epsilon(bound));
  esp::test::expect_gradients(model, golden, gradient_bound, esp::detail::peft_path<Vit<T>>);
}

}  // namespace

TEST_CASE("logits and loss are transformers'; with adapter and head, logits, loss and gradients are peft's") {
  for (const std::string& name : cases()) {
    CAPTURE(name);
    expect_golden<double>(Golden(name), 1e-12, 1e-10);
    expect_golden<float>(Golden(name), 1e-5, 1e-4);
  }
}

TEST_CASE("a model that is trained drops what its configuration says, and the same again where the step is the same") {
  const Golden golden("vit");
  const TemporaryDirectory folder;
  std::filesystem::copy(golden.directory, folder / "base", std::filesystem::copy_options::recursive);
  auto config = json::read_file(folder / "base/config.json");
  config.set("hidden_dropout_prob", 0.2), config.set("attention_probs_dropout_prob", 0.3);
  json::write_file(folder / "base/config.json", config);
  esp::Cpu<double> device;
  auto model = esp::load<Vit<double>>(device, folder / "base", {.rank = 1});
  CHECK(model.stem.dropout.p == 0.2);
  CHECK(model.blocks()[1].self_attn.dropout.p == 0.3);
  CHECK(model.blocks()[1].attention_dropout.p == 0.2);
  CHECK(model.blocks()[1].output_dropout.p == 0.2);
  const double plain = model.evaluate(golden.batch()), first = model.loss(golden.batch());
  CHECK(plain == doctest::Approx(golden.numbers("loss64")[0]).epsilon(1e-12));
  CHECK(std::abs(first - plain) > 1e-3);
  CHECK(double(model.loss(golden.batch())) == first);
  esp::save(model, folder / "out");
  const auto written = json::read_file(folder / "out/config.json");
  for (const char* key : {"hidden_dropout_prob", "attention_probs_dropout_prob"}) CHECK(written.at(key) == config.at(key));
}

TEST_CASE("what is dropped while a model is trained is dropped where transformers drops it") {
  esp::test::expect_dropped<Vit<double>>("vit", Golden("vit"));
}

TEST_CASE("load and save leave every byte of the tensors as it was, and an adapter goes out as peft wrote it, head and all") {
  for (const std::string& name : cases()) {
    CAPTURE(name);
    const Golden golden(name);
    const TemporaryDirectory folder;
    esp::Cpu<double> device;
    auto model = esp::load<Vit<double>>(device, golden.directory);
    esp::save(model, folder / "out");
    const auto same = [](const std::string& a, const std::string& b) {
      const esp::SafetensorsFile before(a), after(b);
      CHECK(before.tensors().size() == after.tensors().size());
      for (const auto& t : before.tensors()) {
        CAPTURE(t.name);
        REQUIRE(after.contains(t.name));
        CHECK((after.info(t.name).shape == t.shape && after.info(t.name).dtype == t.dtype));
        std::vector<std::byte> x(t.bytes), y(t.bytes);
        before.read(t, x), after.read(after.info(t.name), y);
        CHECK(x == y);
      }
    };
    same(golden.directory + "/model.safetensors", (folder / "out") + "/model.safetensors");
    auto changed = json::read_file((folder / "out") + "/config.json"), was = json::read_file(golden.directory + "/config.json");
    for (const auto& [key, value] : was.members())
      if (key != "dtype") CHECK(changed.at(key) == value);
    esp::load_adapter(model, golden.directory + "/adapter");
    esp::save_adapter(model, folder / "adapter", {.dtype = esp::Dtype::f32});
    same(golden.directory + "/adapter/adapter_model.safetensors", (folder / "adapter") + "/adapter_model.safetensors");
    const auto config = json::read_file((folder / "adapter") + "/adapter_config.json");
    CHECK(config.at("modules_to_save") == json::Value(json::Value::Array{json::Value("classifier")}));
    CHECK(config.at("task_type").is_null());
  }
}

TEST_CASE("adapters under the names of transformers 4 are read as well") {
  const Golden golden("vit");
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  auto model = esp::load<Vit<double>>(device, golden.directory);
  esp::load_adapter(model, golden.directory + "/adapter");
  std::vector<esp::TensorSpec> specs;
  std::map<std::string, std::vector<double>> numbers;
  esp::for_each_parameter(model, [&](const std::string& path, auto& p) {
    const std::string name = "base_model.model." + path;
    specs.push_back({name, esp::Dtype::f64, path.ends_with("bias") ? std::vector<esp::Index>{p.cols} : std::vector<esp::Index>{p.rows, p.cols}});
    numbers[name].assign(p.value.data, p.value.data + p.size());
  });
  std::filesystem::copy(golden.directory + "/adapter", folder / "old");
  esp::write_safetensors((folder / "old") + "/adapter_model.safetensors", specs, {}, [&](const esp::TensorInfo& info, auto& sink) {
    sink.write_numbers(std::span<const double>(numbers.at(info.name)), info.dtype);
  });
  auto config = json::read_file((folder / "old") + "/adapter_config.json");
  json::Value::Array targets;
  for (const char* name : {"query", "value", "attention.output.dense", "intermediate.dense", "output.dense"}) targets.push_back(json::Value(name));
  config.set("target_modules", json::Value(targets));
  json::write_file((folder / "old") + "/adapter_config.json", config);
  auto again = esp::load<Vit<double>>(device, golden.directory);
  esp::load_adapter(again, folder / "old");
  CHECK(again.logits(golden.batch()) == model.logits(golden.batch()));
}

TEST_CASE("masked == compacted == what a padded file says") {
  const Golden golden("vit");
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  auto model = esp::load<Vit<double>>(device, golden.directory, {.rank = 1});
  esp::load_adapter(model, golden.directory + "/adapter");
  const auto whole = model.logits(golden.batch());
  model.groups([&](auto group) {
    std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
    alive[std::size_t(group.layer)] = 0;
    group.mask->set(device, alive);
  });
  const auto masked = model.logits(golden.batch());
  CHECK(relative_gap(masked, whole) > 1e-2);
  CHECK(esp::save(model, folder / "padded", {.dtype = esp::Dtype::f64}).heads == 3);
  auto padded = esp::load<Vit<double>>(device, folder / "padded");
  CHECK(relative_gap(padded.logits(golden.batch()), masked) < 1e-12);
  esp::compact(model);
  CHECK(relative_gap(model.logits(golden.batch()), masked) < 1e-12);
}

TEST_CASE("two epochs over images of bytes are the course that transformers, peft and torch take") {
  const std::string examples = std::string(ESPALIER_TEST_DATA) + "/examples";
  const json::Value course = json::read_file(examples + "/course.json").at("vit");
  esp::Cpu<double> device;
  auto model = esp::load<Vit<double>>(device, golden_directory("vit"), {.rank = 1});
  esp::load_adapter(model, golden_directory("vit") + "/adapter");
  model.source.directory = examples;  // whose preprocessor_config.json counts
  const esp::ImageExamples images(esp::read_images(examples + "/images.npy", examples + "/images.labels.npy", esp::image_options(model)));
  const auto measured = [&](const char* when) {
    const esp::Evaluation e = esp::evaluate(model, images, {.size = 5});
    CHECK(e.loss == doctest::Approx(course.at(when).number("loss")).epsilon(1e-9));
    CHECK(e.tokens == 12);
    CHECK(e.metrics[0].name == "accuracy");
    CHECK(e.metrics[0].value == doctest::Approx(course.at(when).number("accuracy")));
  };
  measured("before");
  esp::AdamW optimizer(model, {.decay = 0.01});
  esp::test::TrainingLog log;
  esp::Trainer trainer(model, optimizer, images.batches({.size = 4, .steps = 6, .shuffle = false, .accumulate = 2}),
                       {.rate = {.peak = 1e-2}, .max_norm = 0});
  trainer.run(log);
  for (std::size_t i = 0; i < 6; ++i) CHECK(log.losses()[i] == doctest::Approx(course.at("losses").at(esp::Index(i)).as_double()).epsilon(1e-9));
  measured("after");
}

TEST_CASE("a published head makes room for one's own classes where that is asked") {
  const Golden golden("vit");
  esp::Cpu<double> device;
  CHECK_THROWS_WITH_AS((esp::load<Vit<double>>(device, golden.directory, {}, 0, {.count = 5})),
                       doctest::Contains("classifier.weight has shape [3, 12], config.json says [5, 12]\n  hint: a head for other labels is a new one"), esp::Error);
  auto model = esp::load<Vit<double>>(device, golden.directory, {.rank = 1}, 1, {.count = 5, .new_head = true});
  CHECK(model.logits(golden.batch()).size() == 15);
  CHECK(double(model.evaluate(golden.batch())) == doctest::Approx(std::log(5.0)).epsilon(0.3));
  CHECK(model.source.config.at("id2label").size() == 5);
}

TEST_CASE("what is not supported, or does not fit, is refused by name") {
  const TemporaryDirectory folder;
  esp::Cpu<double> device;
  const auto refused = [&](const std::string& key, json::Value value, const char* words) {
    const std::string path = folder / key;
    std::filesystem::copy(golden_directory("vit"), path, std::filesystem::copy_options::recursive);
    auto config = json::read_file(path + "/config.json");
    config.set(key, std::move(value));
    json::write_file(path + "/config.json", config);
    CHECK_THROWS_WITH_AS(esp::load<Vit<double>>(device, path), doctest::Contains(words), esp::Error);
  };
  refused("model_type", "deit", "vit is");
  refused("image_size", 12, "position_embeddings has shape [1, 5, 12]");
  refused("patch_size", 9, "larger than image_size");
  refused("num_channels", 1, "projection.weight has shape [12, 3, 4, 4]");
  refused("qkv_bias", false, "key.bias', which config.json does not account for");
  refused("num_attention_heads", 5, "no multiple");
  refused("hidden_act", "mish", "mish");

  const Golden golden("vit");
  auto model = esp::load<Vit<double>>(device, golden.directory);
  auto batch = golden.batch();
  batch.height = 4;
  CHECK_THROWS_WITH_AS(model.loss(batch), doctest::Contains("images of 4 x 8 with 3 channels; this model wants 8 x 8"), esp::Error);
  batch = golden.batch(), batch.pixels = batch.pixels.first(100);
  CHECK_THROWS_WITH_AS(model.loss(batch), doctest::Contains("100 numbers for 3 images"), esp::Error);
}
