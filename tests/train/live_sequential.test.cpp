// SPDX-License-Identifier: MIT
// An adapter behind the weight mixes outputs: what is masked must feed no other output, neither in the network nor in a
// score.
#include <doctest/doctest.h>

#include <espalier/adapter/sequential.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/mask.hpp>

#include "support/course.hpp"
#include "support/tiny_model.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE_TEMPLATE("A run with adapters behind the weights loses the same units, live or masked", Score, TaylorImportance,
                   FullTaylorImportance) {
  using Model = Llama<Cpu<double>, SequentialAdapter>;
  for (const double dropout : {0.0, 0.2}) {
    const CourseOptions o{.steps = 60, .adamw = {.decay = 0.01}, .pruner = {.every = 5}};
    const auto run = [&](Compaction compaction) {
      Cpu<double> device;
      Model model(device, tiny_config(), {.rank = 4, .dropout = dropout});
      fill_base(model);
      initialise(model, 1);
      // Large enough that it would be seen in a score.
      for_each_parameter(model, [&](const std::string& path, auto& p) {
        if (path.find("lora_B") != std::string::npos) fill(p.value.data, p.size(), 8, 0.3);
      });
      return run_course(model, Score{}, compaction, tiny_text(2000), o);
    };
    const Course masked = run(Compaction::none), live = run(Compaction::live);
    CHECK(live.compactions.size() >= 5);
    CHECK((live.masks == masked.masks));
    CHECK(distance(live.losses, masked.losses) <= 1e-12);
    CHECK(relative_error(live.left, masked.left) <= 1e-12);
  }
}
