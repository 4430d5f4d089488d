// SPDX-License-Identifier: MIT
// Whatever chooses the units, and however it ranks and counts them: those that leave are those that would be masked.
#include <doctest/doctest.h>

#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/movement.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/importance/signed_taylor.hpp>
#include <espalier/prune/importance/wanda.hpp>

#include "support/compiled_training.hpp"
#include "support/course.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

template <class Score>
void check(const Score& score, const CourseOptions& o, double bound = 1e-12) {
  const auto run = [&](Compaction compaction) {
    Cpu<double> device;
    WideTiny model(device, {.rank = 2, .dropout = 0.1});
    return run_course(model, score, compaction, tiny_text(2000), o);
  };
  const Course masked = run(Compaction::none), live = run(Compaction::live);
  CHECK(live.compactions.size() >= 3);
  CHECK((live.masks == masked.masks));
  CHECK(distance(live.losses, masked.losses) <= bound);
  CHECK(relative_error(live.left, masked.left) <= bound);
}

}  // namespace

TEST_CASE("Local, global, per parameter, by a number of parameters, rounded, uniform: the same units") {
  const auto with = [](PrunerOptions p) {
    CourseOptions o{.steps = 32};
    p.every = 4, o.pruner = p;
    return o;
  };
  const TaylorImportance score;
  check(score, with({.round_to = 4, .exclude = {0}}));
  check(score, with({.ranking = Ranking::global}));
  check(score, with({.ranking = Ranking::global, .per_cost = true}));
  check(score, with({.target = {.left = 25000}}));
  check(score, with({.ranking = Ranking::global, .round_to = 8, .normalise = Normalise::alive}));
  check(score, with({.uniform = true, .score_every = 3}));
}

TEST_CASE("Scores that watch backward, and scores by chance: the same units") {
  check(FullTaylorImportance{}, {.steps = 32, .pruner = {.every = 4}});
  check(FullTaylorImportance{}, {.steps = 32, .pruner = {.every = 4, .score_every = 3}});
  check(SignedTaylorImportance{}, {.steps = 32, .pruner = {.every = 4, .ranking = Ranking::global}});
  check(RandomImportance{.seed = 3}, {.steps = 32, .pruner = {.every = 4}});
}

TEST_CASE("Scores that remember inputs or movements, also when the weights that stay make up for those that leave") {
  check(MovementImportance{}, {.steps = 32, .pruner = {.every = 4}});
  check(WandaImportance{}, {.steps = 32, .pruner = {.every = 4}});
  check(OBSImportance{}, {.steps = 32, .pruner = {.every = 4}}, 1e-10);
  check(OBSImportance{.update = true}, {.steps = 32, .pruner = {.every = 4}}, 1e-8);
}
