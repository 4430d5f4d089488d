// SPDX-License-Identifier: MIT
// Checkpoints of runs whose pruner remembers inputs, or changes weights of the base.
#include <doctest/doctest.h>

#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/train/trainer.hpp>
#include <filesystem>

#include "support/compiled_training.hpp"
#include "support/temporary_directory.hpp"
#include "support/tiny_model.hpp"

using namespace espalier;
using Device = Cpu<float>;
using Model = test::TinyModel<Device>;

namespace {

using Remembering = Pruner<Model, OBSImportance, EMAMask, CubicSchedule>;

/// Ten steps with events at 4, 8 and 9, and a checkpoint after 5 and 10.
struct Run {
  Device device;
  Model model;
  AdamW<Model> optimizer;
  Remembering pruner;
  Trainer<Model, Remembering> trainer;

  explicit Run(const std::string& folder, Compaction compact = Compaction::none)
      : model(device, {.rank = 2}),
        optimizer(model),
        pruner(model, OBSImportance{.decay = 0.9, .update = true}, EMAMask{.decay = 0}, CubicSchedule{.end = 9},
               PrunerOptions{.every = 4}),
        trainer(model, optimizer, pruner, test::tiny_text(800).batches({.size = 2, .length = 12, .steps = 10}),
                {.rate = {.peak = 1e-2}, .compact = compact, .checkpoints = folder, .checkpoint_every = 5}) {}
};

}  // namespace

TEST_CASE("The same where units leave for good during the run: inputs and weights are told in the numbers of the dense model") {
  const test::TemporaryDirectory folder;
  Run whole(folder / "run", Compaction::live);
  whole.trainer.run();
  CHECK(whole.model.blocks()[0].mlp.down_proj.in() == 20);
  std::filesystem::remove_all(folder / "run/checkpoint-10");
  Run again(folder / "run", Compaction::live);
  REQUIRE(again.trainer.resume().has_value());
  CHECK(again.model.blocks()[0].mlp.down_proj.in() < 40);
  again.trainer.run();
  CHECK(hash_of_base(again.model) == hash_of_base(whole.model));
  CHECK(test::hash_of_training(again.model) == test::hash_of_training(whole.model));
}

TEST_CASE("A run whose base has changed goes on from a model that has not, to the same bits") {
  const test::TemporaryDirectory folder;
  Run whole(folder / "run");
  const std::string before = hash_of_base(whole.model);
  whole.trainer.run();
  CHECK(whole.pruner.warnings().empty());
  CHECK(hash_of_base(whole.model) != before);
  std::filesystem::remove_all(folder / "run/checkpoint-10");
  Run again(folder / "run");
  const auto resumed = again.trainer.resume();
  REQUIRE(resumed.has_value());
  CHECK(resumed->step == 5);
  CHECK(hash_of_base(again.model) != before);
  again.trainer.run();
  CHECK(hash_of_base(again.model) == hash_of_base(whole.model));
  CHECK(test::hash_of_training(again.model) == test::hash_of_training(whole.model));
  CHECK(again.pruner.plan().groups[1].scores == whole.pruner.plan().groups[1].scores);
}
