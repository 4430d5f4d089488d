// SPDX-License-Identifier: MIT
// Fine-tunes a BERT to tell how two sentences belong together, as in GLUE, and prunes it in the same run.
#include <espalier/backend/cpu.hpp>
#include <espalier/data/tokenizer/tokenizer.hpp>
#include <espalier/espalier.hpp>
#include <espalier/model/bert_files.hpp>
#include <espalier/model/example_options.hpp>
#include <espalier/train/evaluate_examples.hpp>

#include <cstdio>
#include <string>

namespace esp = espalier;
using Device = esp::Cpu<float>;
using Model = esp::BertForSequenceClassification<Device, esp::LowRankAdapter>;

int main(int argc, char** argv) try {
  const std::string from = argc > 1 ? argv[1] : "bert-base-uncased/";
  const std::string data = argc > 2 ? argv[2] : "train.jsonl";  // {"sentence1": "…", "sentence2": "…", "label": 1}
  const std::string words = argc > 3 ? argv[3] : from;          // where tokenizer.json or vocab.txt is
  const std::string to = argc > 4 ? argv[4] : "pruned-bert";

  Device device;
  auto model = esp::load<Model>(device, from, {.rank = 8, .targets = {"query", "key", "value", "dense"}}, /*seed=*/1, {.count = 3});
  auto tokenizer = esp::Tokenizer::from(words);
  const esp::TextExamples examples(esp::read_texts(data, tokenizer, esp::text_options(model, {.length = 128})));

  esp::AdamW optimizer(model, {.decay = 0.01});
  esp::Pruner pruner(model, esp::TaylorImportance{}, esp::EMAMask{}, esp::CubicSchedule{.begin = 10, .end = 50, .sparsity = 0.3});
  esp::Trainer trainer(model, optimizer, pruner, examples.batches({.size = 8, .steps = 80}), {.rate = {.peak = 1e-2, .warmup = 5}});
  const auto before = esp::evaluate(model, examples);
  const double sparsity = trainer.run().sparsity;
  esp::merge(model);
  esp::compact(model);
  const auto after = esp::evaluate(model, examples);
  esp::save(model, to, {.overwrite = true});  // AutoModelForSequenceClassification.from_pretrained(to) loads it

  for (std::size_t i = 0; i < after.metrics.size(); ++i)
    std::printf("%-10s %.3f -> %.3f\n", after.metrics[i].name.c_str(), before.metrics[i].value, after.metrics[i].value);
  std::printf("loss       %.3f -> %.3f, %.0f %% of heads and channels are gone\n", before.loss, after.loss, 100 * sparsity);
  return sparsity > 0.2 && after.loss < before.loss ? 0 : 1;
} catch (const esp::Error& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return 1;
}
