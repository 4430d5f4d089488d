// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/random.hpp>
#include <set>

#include "llamas.hpp"
#include "scores.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE_TEMPLATE("random scores depend on the seed, the group and the unit's first number, not on compaction", Device,
                   Oracle<double>, Cpu<double>) {
  using Model = Llama<Device, LowRankAdapter>;
  const auto config = small_llamas()[0].config;
  Device device;
  auto model = random_llama<Model>(device, config, {.rank = 2});
  const auto scores = [&](std::uint64_t seed) {
    return group_scores(model, RandomImportance{seed}, Normalise::none, [] {});
  };
  const auto first = scores(1);
  CHECK(first == scores(1));
  CHECK(first != scores(2));
  std::set<double> different;
  std::size_t n = 0;
  for (const auto& group : first)
    for (const double x : group) {
      different.insert(x), ++n;
      CHECK((x > 0 && x < 1));
    }
  CHECK(different.size() == n);

  auto& mask = model.blocks()[1].mlp.units;
  std::vector<std::uint8_t> alive(mask.alive().size(), 1);
  alive[0] = alive[4] = 0;
  mask.set(device, alive);
  compact(model);
  auto want = first;
  want[3].erase(want[3].begin() + 4), want[3].erase(want[3].begin());
  CHECK(scores(1) == want);
}
