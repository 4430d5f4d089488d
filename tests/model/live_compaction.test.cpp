// SPDX-License-Identifier: MIT
// masked == compacted for whole runs of other families: units that leave while a model is trained, and units that stay masked.
#include <doctest/doctest.h>
#include <espalier/data/tokenizer/tokenizer.hpp>
#include <espalier/model/example_options.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/schedule.hpp>

#include "compiled_bert.hpp"
#include "compiled_gpt2.hpp"
#include "course.hpp"
#include "golden.hpp"

namespace esp = espalier;
using namespace esp::test;
using esp::Compaction, esp::Index;

namespace {

/// Ids in a pattern with some noise.
esp::TokenFile tokens() {
  std::vector<int> ids;
  for (std::uint32_t i = 0, x = 1; i < 2000; ++i) x = x * 1664525u + 1013904223u, ids.push_back(int((x >> 24) % 4 == 0 ? (x >> 8) % 48 : i * 7 % 48));
  return esp::TokenFile::of(std::move(ids), 0, "tokens");
}
esp::TextExamples pairs(const BertClasses<double>& model) {
  const std::string examples = std::string(ESPALIER_TEST_DATA) + "/examples";
  static esp::Tokenizer tokenizer = esp::Tokenizer::from(examples + "/tokenizer.json");
  return esp::TextExamples(esp::read_texts(examples + "/pairs.jsonl", tokenizer, esp::text_options(model)));
}
auto batches_for(const CpuGpt2<double>&, const CourseOptions& o) {
  return tokens().batches({.size = 2, .length = 12, .steps = o.steps, .seed = 4});
}
auto batches_for(const BertClasses<double>& model, const CourseOptions& o) {
  return pairs(model).batches({.size = 3, .steps = o.steps, .seed = 4});
}

template <class Model>
Course run(const char* checkpoint, double dropout, Compaction compaction, const CourseOptions& o) {
  esp::Cpu<double> device;
  auto model = esp::load<Model>(device, golden_directory(checkpoint), {.rank = 4, .dropout = dropout}, 3);
  esp::AdamW<Model> optimizer(model, o.adamw);
  esp::Pruner<Model, esp::TaylorImportance, esp::EMAMask, esp::CubicSchedule> pruner(model, esp::TaylorImportance{}, esp::EMAMask{},
                                                                                     course_schedule(o), o.pruner);
  return follow_batches(model, optimizer, pruner, compaction, batches_for(model, o), o);
}

template <class Model>
void check(const char* checkpoint) {
  const CourseOptions o{.steps = 200, .max_norm = 0, .pruner = {.every = 15}};
  std::vector<std::vector<double>> losses;
  for (const double dropout : {0.0, 0.1}) {
    CAPTURE(dropout);
    const Course masked = run<Model>(checkpoint, dropout, Compaction::none, o), live = run<Model>(checkpoint, dropout, Compaction::live, o);
    CHECK(masked.compactions.empty());
    CHECK(live.compactions.size() >= 5);
    CHECK((live.masks == masked.masks));
    CHECK(live.masks.front() != live.masks.back());
    CHECK(distance(live.losses, masked.losses) <= 1e-12);
    CHECK(relative_gap(live.left, masked.left) <= 1e-12);
    losses.push_back(masked.losses);
  }
  CHECK(distance(losses[0], losses[1]) > 1e-3);  // dropout was at work
}

}  // namespace

TEST_CASE("Two hundred steps of a GPT-2 with units that leave are those with units that stay masked") { check<CpuGpt2<double>>("gpt2"); }
TEST_CASE("Two hundred steps of a BERT with units that leave are those with units that stay masked") { check<BertClasses<double>>("bert-classes"); }
