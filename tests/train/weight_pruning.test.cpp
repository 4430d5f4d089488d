// SPDX-License-Identifier: MIT
// Runs that make single weights zero: taken up again, written, and read back.
#include <doctest/doctest.h>

#include <algorithm>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/sparse_gpt.hpp>
#include <espalier/prune/weight_pruner.hpp>
#include <espalier/train/trainer.hpp>
#include <filesystem>

#include "support/compiled_training.hpp"
#include "support/temporary_directory.hpp"
#include "support/tiny_model.hpp"

using namespace espalier;
using Device = Cpu<float>;
using Model = test::TinyModel<Device>;

namespace {

using Sparse = WeightPruner<Model, SparseGPTImportance, CubicSchedule>;

/// Ten steps with events at 4, 8 and 9, and a checkpoint after 5 and 10: masks, weights that make up for what leaves, and
/// statistics of inputs all take part.
struct Run {
  Device device;
  Model model;
  AdamW<Model> optimizer;
  Sparse pruner;
  Trainer<Model, Sparse> trainer;

  explicit Run(const std::string& folder)
      : model(device, {.rank = 2}),
        optimizer(model),
        pruner(model, SparseGPTImportance{.decay = 0.9}, WeightPattern::unstructured(), CubicSchedule{.end = 9, .sparsity = 0.5},
               WeightPrunerOptions{.every = 4}),
        trainer(model, optimizer, pruner, test::tiny_text(800).batches({.size = 2, .length = 12, .steps = 10}),
                {.rate = {.peak = 1e-2}, .checkpoints = folder, .checkpoint_every = 5}) {}

  std::vector<std::uint32_t> bits() {
    std::vector<std::uint32_t> all;
    for_each_projection(model, [&](const std::string&, auto& p) {
      const auto words = p.weight_mask.words(device);
      all.insert(all.end(), words.begin(), words.end());
    });
    return all;
  }
};

}  // namespace

TEST_CASE("A run with masks on weights goes on from its checkpoint, to the same bits") {
  const test::TemporaryDirectory folder;
  Run whole(folder / "run");
  const std::string before = hash_of_base(whole.model);
  CHECK(whole.trainer.run().sparsity == doctest::Approx(0.5).epsilon(0.01));
  CHECK(whole.pruner.warnings().empty());
  CHECK(hash_of_base(whole.model) != before);
  std::filesystem::remove_all(folder / "run/checkpoint-10");
  Run again(folder / "run");
  const auto resumed = again.trainer.resume();
  REQUIRE(resumed.has_value());
  CHECK(resumed->step == 5);
  CHECK(again.pruner.report().removed > 0);
  CHECK(again.bits() != whole.bits());
  again.trainer.run();
  CHECK(again.bits() == whole.bits());
  CHECK(hash_of_base(again.model) == hash_of_base(whole.model));
  CHECK(test::hash_of_training(again.model) == test::hash_of_training(whole.model));
}
