// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <cstdlib>
#include <espalier/prune/budget.hpp>

#include "oracle_numbers.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("local counts are floor(n s + 1/2), those of the published program floor(n s)") {
  const Pool heads{.units = 32, .cost = 1}, channels{.units = 11008, .cost = 1};
  CHECK(heads.share(0.5) == 16);
  CHECK(channels.share(0.5) == 5504);
  CHECK(Pool{.units = 5, .cost = 1}.share(0.5) == 3);  // 2.5 rounds up
  CHECK(Pool{.units = 50, .cost = 1}.share(0.29) == 15);  // 14.5 in spite of its representation
  const auto& json = oracle_numbers()["schedule"];
  const double last = json["official_last_ratio"].get<double>();
  CHECK(heads.share(last, true) == json["official_heads_removed_of_32"].get<Index>());
  CHECK(heads.share(last, true) == 15);
  CHECK(channels.share(last, true) == json["official_ffn_channels_removed_of_11008"].get<Index>());
  CHECK(heads.share(0.5, true) == json["intended_heads_removed_of_32"].get<Index>());
  CHECK(channels.share(0.5, true) == json["intended_ffn_channels_removed_of_11008"].get<Index>());
}

TEST_CASE("one unit stays, whatever is asked for") {
  CHECK(Pool{.units = 1, .cost = 1}.share(0.5) == 0);
  CHECK(Pool{.units = 4, .cost = 1}.share(0.99) == 3);
  CHECK(Pool{.units = 4, .cost = 1}.most() == 3);
  CHECK(Pool{.units = 4, .cost = 1, .least = 2}.most() == 2);
}

TEST_CASE("what has left cannot return") { CHECK(Pool{.units = 8, .cost = 1, .already = 3}.share(0.1) == 3); }

TEST_CASE("the number kept is the nearest multiple, or all") {
  for (const Index round : {2, 8, 32})
    for (Index units : {64, 100, 10})
      for (Index k = 0; k <= units; ++k) {
        const Pool pool{.units = units, .cost = 1, .round = round};
        const Index kept = units - pool.allowed(k);
        CAPTURE(round);
        CAPTURE(units);
        CAPTURE(k);
        CHECK((kept == units || (kept % round == 0 && kept > 0)));
        // nothing allowed is nearer to what was asked for
        for (Index other = round; other < units; other += round)
          CHECK(std::abs(other - (units - k)) >= std::abs(kept - (units - k)));
        const Index next = pool.after(pool.allowed(k));
        if (next != pool.allowed(k)) CHECK((units - next) % round == 0);
      }
}

TEST_CASE("spending parameters ends within half of the finest step") {
  for (const Index layers : {1, 3})
    for (const Index round : {1, 4}) {
      std::vector<Pool> pools;
      for (Index l = 0; l < layers; ++l) {
        pools.push_back({.units = 8, .cost = 640});
        pools.push_back({.units = 96, .cost = 36, .round = round});
      }
      Index most = 0;
      for (const Pool& p : pools) most += p.cost * p.most();
      for (Index goal = 0; goal <= most; goal += 7) {
        const auto k = spend(pools, goal);
        CAPTURE(goal);
        CHECK(2 * std::abs(cost_of(pools, k) - goal) <= 36 * round);
        for (std::size_t p = 0; p < pools.size(); ++p) CHECK(pools[p].allowed(k[p]) == k[p]);
      }
    }
}

TEST_CASE("spending keeps shares alike: heads and channels of all layers leave together") {
  std::vector<Pool> pools;
  for (int l = 0; l < 4; ++l) {
    pools.push_back({.units = 32, .cost = 2000});
    pools.push_back({.units = 1000, .cost = 100});
  }
  const Index half = 4 * (16 * 2000 + 500 * 100);
  CHECK(spend(pools, half) == std::vector<Index>{16, 500, 16, 500, 16, 500, 16, 500});
}
