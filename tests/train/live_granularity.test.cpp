// SPDX-License-Identifier: MIT
// Whatever leaves as one: a run in which it leaves is the run in which it stays masked, and goes on after a stop.
#include <doctest/doctest.h>

#include <espalier/backend/cpu.hpp>

#include "support/compiled_training.hpp"
#include "support/course.hpp"
#include "support/temporary_directory.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

const PrunerOptions by_even_queries{.granularity = Granularity::queries, .every = 4};
const PrunerOptions by_free_queries{.granularity = Granularity::queries, .every = 4, .ranking = Ranking::global, .even = false};

const PrunerOptions by_layers{.granularity = Granularity::layers, .every = 4};
const PrunerOptions by_hidden{.granularity = Granularity::hidden, .every = 4, .round_to = 4};
LlamaConfig four_layers() {
  LlamaConfig c = tiny_config();
  c.layers = 4, c.attention_dropout = 0.1;
  return c;
}

void check_live(const PrunerOptions& pruner, double bound = 1e-12) {
  const CourseOptions o{.steps = 32, .pruner = pruner};
  const auto run = [&](Compaction compaction) {
    Cpu<double> device;
    WideTiny model(device, {.rank = 2, .dropout = 0.1}, 1, four_layers());
    return run_course(model, TaylorImportance{}, compaction, tiny_text(2000), o);
  };
  const Course masked = run(Compaction::none), live = run(Compaction::live);
  CHECK(live.compactions.size() >= 1);
  CHECK((live.masks == masked.masks));
  CHECK(live.masks.front() != live.masks.back());
  CHECK(distance(live.losses, masked.losses) <= bound);
  CHECK(relative_error(live.left, masked.left) <= bound);
}

/// A run in which everything happens, and units leave.
struct Run {
  Cpu<float> device;
  Tiny model;
  AdamW<Tiny> optimizer{model, {.decay = 0.01}};
  TinyPruner<TaylorImportance> pruner;
  Trainer<Tiny, TinyPruner<TaylorImportance>> trainer;
  TrainingLog log;

  Run(const std::string& folder, const PrunerOptions& o)
      : model(device, {.rank = 4, .dropout = 0.1}, 1, four_layers()),
        pruner(model, TaylorImportance{}, EMAMask{.decay = 0.9}, CubicSchedule{.begin = 2, .end = 20, .sparsity = 0.5}, o),
        trainer(model, optimizer, pruner, tiny_text(2000).batches({.size = 2, .length = 12, .steps = 24, .seed = 4}),
                {.rate = {.peak = 5e-3, .warmup = 5, .steps = 24, .shape = RateShape::cosine},
                 .compact = Compaction::live,
                 .checkpoints = folder}) {}
};

void check_resumed(const PrunerOptions& o) {
  Run whole("", o);
  whole.trainer.run(whole.log);
  const TemporaryDirectory folder;
  std::vector<double> losses;
  for (const Index stop : {3, 9, 17, 24}) {
    Run part(folder / "run", o);
    CHECK(part.trainer.resume().has_value() == (stop > 3));
    part.log.then = [&](const StepReport& r) {
      if (r.step == stop) part.trainer.stop();
    };
    part.trainer.run(part.log);
    for (const double l : part.log.losses()) losses.push_back(l);
    if (stop != 24) continue;
    CHECK(hash_of_training(part.model) == hash_of_training(whole.model));
    CHECK(count_parameters(part.model) == count_parameters(whole.model));
    CHECK(part.pruner.report().reached == whole.pruner.report().reached);
    CHECK(part.pruner.plan().groups.front().scores == whole.pruner.plan().groups.front().scores);
    CHECK(part.pruner.plan().groups.front().kept == whole.pruner.plan().groups.front().kept);
  }
  CHECK(losses == whole.log.losses());
}

}  // namespace

TEST_CASE("Query heads that leave at once are those that would be masked") { check_live(by_even_queries), check_live(by_free_queries); }

TEST_CASE("Layers that leave at once are those that would be masked") { check_live(by_layers); }
TEST_CASE("Channels of the residual stream that leave at once are those that would be masked") { check_live(by_hidden); }

TEST_CASE("A run that was stopped and resumed while units leave ends in the same bits") {
  check_resumed(by_even_queries), check_resumed(by_free_queries), check_resumed(by_layers), check_resumed(by_hidden);
}
