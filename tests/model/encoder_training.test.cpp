// SPDX-License-Identifier: MIT
// Encoders through the trainer: the course that transformers, peft and torch take, and the laws of a run.
#include <doctest/doctest.h>
#include <espalier/data/masked_examples.hpp>
#include <espalier/data/tokenizer/tokenizer.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/model/example_options.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/schedule.hpp>
#include <espalier/train/evaluate_examples.hpp>
#include <espalier/train/trainer.hpp>

#include "compiled_bert.hpp"
#include "golden.hpp"
#include "temporary_directory.hpp"
#include "threads.hpp"
#include "tiny_model.hpp"
#include "training_log.hpp"

namespace esp = espalier;
using namespace esp::test;
namespace json = esp::json;

namespace {

const std::string examples = std::string(ESPALIER_TEST_DATA) + "/examples";
using Model = BertClasses<double>;
using Source = esp::ExampleBatches<esp::TextSet>;

esp::TextExamples texts(const Model& model, const std::string& name) {
  static esp::Tokenizer tokenizer = esp::Tokenizer::from(examples + "/tokenizer.json");
  return esp::TextExamples(esp::read_texts(examples + "/" + name, tokenizer, esp::text_options(model)));
}

/// Dropout of adapters, accumulation, warm-up, clipping and pruning all at once, over padded pairs.
struct Run {
  esp::Cpu<double> device;
  Model model;
  esp::AdamW<Model> optimizer{model, {.decay = 0.01}};
  esp::Pruner<Model, esp::TaylorImportance, esp::EMAMask, esp::CubicSchedule> pruner;
  esp::Trainer<Model, decltype(pruner), Source> trainer;

  explicit Run(const std::string& checkpoints = "")
      : model(esp::load<Model>(device, golden_directory("bert-classes"), {.rank = 2, .dropout = 0.1}, 3)),
        pruner(model, esp::TaylorImportance{}, esp::EMAMask{.decay = 0.9}, esp::CubicSchedule{.begin = 4, .end = 20, .sparsity = 0.4},
               esp::PrunerOptions{.every = 4}),
        trainer(model, optimizer, pruner, texts(model, "pairs.jsonl").batches({.size = 3, .steps = 30, .seed = 4, .accumulate = 2}),
                options(checkpoints)) {}
  static esp::TrainerOptions options(const std::string& checkpoints) {
    esp::TrainerOptions o;
    o.rate = {.peak = 5e-3, .warmup = 5, .steps = 30, .shape = esp::RateShape::cosine};
    o.checkpoints = checkpoints;
    return o;
  }
};

void expect_course(const std::string& name, const std::string& file) {
  CAPTURE(name);
  const json::Value course = json::read_file(examples + "/course.json").at(name);
  esp::Cpu<double> device;
  auto model = esp::load<Model>(device, golden_directory(name), {.rank = 1});
  esp::load_adapter(model, golden_directory(name) + "/adapter");
  const auto all = texts(model, file);
  const auto measured = [&](const char* when) {
    const json::Value& wanted = course.at(when);
    const esp::Evaluation e = esp::evaluate(model, all, {.size = 7});
    CHECK(e.loss == doctest::Approx(wanted.number("loss")).epsilon(1e-9));
    CHECK(e.tokens == 24);
    CHECK(e.perplexity == 0);
    CHECK(e.metrics[0].name == (wanted.contains("pearson") ? "pearson" : "accuracy"));
    CHECK(e.metrics[0].value == doctest::Approx(wanted.number(e.metrics[0].name)).epsilon(1e-9));
    // In one batch, padded to the longest of all: the same numbers.
    std::vector<esp::EpochOrder::Drawn> drawn;
    for (esp::Index i = 0; i < all.size(); ++i) drawn.push_back({i, 0});
    esp::TextSet::Rows rows;
    all.set().collect(drawn, 0, rows);
    std::vector<double> logits;
    for (const json::Value& x : wanted.at("logits").elements()) logits.push_back(x.as_double());
    CHECK(relative_gap(model.logits(all.set().batch(rows)), logits) < 1e-9);
  };
  measured("before");
  esp::AdamW optimizer(model, {.decay = 0.01});
  TrainingLog log;
  esp::Trainer trainer(model, optimizer, all.batches({.size = 4, .steps = 6, .shuffle = false, .accumulate = 2}),
                       {.rate = {.peak = 1e-2}, .max_norm = 0});
  trainer.run(log);
  for (std::size_t i = 0; i < 6; ++i) CHECK(log.losses()[i] == doctest::Approx(course.at("losses").at(esp::Index(i)).as_double()).epsilon(1e-9));
  measured("after");
}

}  // namespace

TEST_CASE("two epochs over files of pairs and of scores are the course that transformers, peft and torch take") {
  expect_course("bert-classes", "pairs.jsonl");
  expect_course("bert-regression", "scores.jsonl");
}

TEST_CASE("a run over texts that was stopped and resumed ends in the bits of one that was not, for any number of threads") {
  use_threads(1);
  Run whole;
  TrainingLog log;
  CHECK(whole.trainer.run(log).sparsity == doctest::Approx(0.4).epsilon(0.1));
  const TemporaryDirectory folder;
  std::vector<double> losses;
  esp::Index at = 0;
  for (const esp::Index stop : {3, 8, 9, 21, 30}) {
    use_threads(stop % 2 == 0 ? 2 : 1);
    Run part(folder / "run");
    CHECK(part.trainer.resume().has_value() == (at > 0));
    CHECK(part.trainer.step() == at);
    TrainingLog some;
    some.then = [&](const esp::StepReport& r) {
      if (r.step == stop) part.trainer.stop();
    };
    part.trainer.run(some);
    at = stop;
    for (const double l : some.losses()) losses.push_back(l);
    if (at == 30) CHECK(hash_of_training(part.model) == hash_of_training(whole.model));
  }
  CHECK(losses == log.losses());
  use_threads(2);
}

TEST_CASE("a checkpoint of other texts or other batches is refused, and data that does not fit before anything is trained") {
  const TemporaryDirectory folder;
  Run run(folder / "run");
  run.trainer.save();
  const auto resume = [&](const esp::TextExamples& data, const esp::ExampleBatchOptions& batches) {
    esp::Trainer trainer(run.model, run.optimizer, run.pruner, data.batches(batches), Run::options(folder / "run"));
    trainer.resume();
  };
  const esp::ExampleBatchOptions same{.size = 3, .steps = 30, .seed = 4, .accumulate = 2};
  const auto pairs = texts(run.model, "pairs.jsonl");
  resume(pairs, same);
  CHECK_THROWS_WITH_AS(resume(pairs.split(0.1).first, same), doctest::Contains("another training data"), esp::Error);
  auto other = same;
  other.seed = 5;
  CHECK_THROWS_WITH_AS(resume(pairs, other), doctest::Contains("value of batches.seed"), esp::Error);
  auto two = pairs.set();
  two.labels.options.count = 2;
  CHECK_THROWS_WITH_AS(resume(esp::TextExamples(two), same), doctest::Contains("the model's head is for classification with 3"), esp::Error);
}

TEST_CASE("a model of masked language learns a text, and is measured on the same hidden tokens each time") {
  esp::Cpu<double> device;
  auto model = esp::load<BertMasked<double>>(device, golden_directory("bert-masked"), {.rank = 8});
  esp::Tokenizer tokenizer = esp::Tokenizer::from(examples + "/tokenizer.json");
  const esp::MaskedExamples data(esp::read_masked_texts(examples + "/scores.jsonl", tokenizer, esp::text_options(model), 0.3));
  CHECK(data.set().text.longest() == 16);  // as many positions as it has
  const esp::Evaluation before = esp::evaluate(model, data);
  CHECK(before.loss == esp::evaluate(model, data).loss);
  CHECK(before.perplexity == doctest::Approx(std::exp(before.loss)));
  CHECK(before.metrics.empty());
  esp::AdamW optimizer(model);
  esp::Trainer trainer(model, optimizer, data.batches({.size = 8, .steps = 40}), {.rate = {.peak = 2e-2}});
  trainer.run();
  CHECK(esp::evaluate(model, data).loss < before.loss - 0.2);
}

TEST_CASE("names of labels are those of the directory, and a head for other labels has none") {
  esp::Cpu<double> device;
  auto model = esp::load<Model>(device, golden_directory("bert-classes"));
  const auto rules = esp::label_rules(model);
  CHECK(rules.options.count == 3);
  REQUIRE(rules.names.size() == 3);
  CHECK((rules.names[2] == std::pair<std::string, int>{"LABEL_2", 2}));
  model.config.labels.count = 2;
  CHECK(esp::label_rules(model).names.empty());
  auto roberta = esp::load<RobertaClasses<double>>(device, golden_directory("roberta-classes"));
  CHECK(esp::text_options(roberta).length == 10);  // of 12 positions the first two are for padding
  CHECK(esp::text_options(roberta).pad == 1);
}
