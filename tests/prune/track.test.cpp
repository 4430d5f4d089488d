// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <cstdlib>
#include <espalier/prune/spend.hpp>

#include "oracle_numbers.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

/// Units of one layer at a price each.
Track layer(const std::string& kind, Index full, double price, Ladder ladder) {
  Track t{.kind = kind, .full = full, .units = {full - ladder.now}, .spent = {price * double(full - ladder.now)}};
  for (std::size_t n = 1; n <= ladder.steps(); ++n) {
    t.units.push_back(full - ladder[n]), t.spent.push_back(price * double(full - ladder[n]));
    t.step = std::max(t.step, t.spent[n] - t.spent[n - 1]);
  }
  return t;
}
Track units(Index full, Index least = 1) { return layer("", full, 1, {full, least, 1}); }
Index share(const Track& t, double s, bool whole = false) { return t.units[t.share(s, whole)]; }

}  // namespace

TEST_CASE("local counts are floor(n s + 1/2), those of the published program floor(n s)") {
  const Track heads = units(32), channels = units(11008);
  CHECK(share(heads, 0.5) == 16);
  CHECK(share(channels, 0.5) == 5504);
  CHECK(share(units(5), 0.5) == 3);    // 2.5 rounds up
  CHECK(share(units(50), 0.29) == 15);  // 14.5 in spite of its representation
  const auto& json = oracle_numbers()["schedule"];
  const double last = json["official_last_ratio"].get<double>();
  CHECK(share(heads, last, true) == json["official_heads_removed_of_32"].get<Index>());
  CHECK(share(heads, last, true) == 15);
  CHECK(share(channels, last, true) == json["official_ffn_channels_removed_of_11008"].get<Index>());
  CHECK(share(heads, 0.5, true) == json["intended_heads_removed_of_32"].get<Index>());
  CHECK(share(channels, 0.5, true) == json["intended_ffn_channels_removed_of_11008"].get<Index>());
}

TEST_CASE("one unit stays, whatever is asked for, or as many as the floor says") {
  CHECK(share(units(1), 0.5) == 0);
  CHECK(share(units(4), 0.99) == 3);
  CHECK(units(4).units.back() == 3);
  CHECK(units(4, 2).units.back() == 2);
  CHECK(units(4, 4).units.back() == 0);
  CHECK(layer("", 10, 1, {10, 5, 4}).units == std::vector<Index>{0, 2});  // 8 are the least multiple of 4 above 5
}

TEST_CASE("what has left cannot return") {
  const Track t = layer("", 8, 1, {5, 1, 1});
  CHECK(share(t, 0.1) == 3);
  CHECK(share(t, 0.5) == 4);
}

TEST_CASE("the number kept is the nearest multiple, or all") {
  for (const Index round : {2, 8, 32})
    for (Index n : {64, 100, 10})
      for (Index k = 0; k <= n; ++k) {
        const Track t = layer("", n, 1, {n, 1, round});
        const Index kept = n - t.units[t.nearest(k)];
        CAPTURE(round);
        CAPTURE(n);
        CAPTURE(k);
        CHECK((kept == n || (kept % round == 0 && kept > 0)));
        // nothing allowed is nearer to what was asked for
        for (Index other = round; other < n; other += round)
          CHECK(std::abs(other - (n - k)) >= std::abs(kept - (n - k)));
        CHECK(k >= std::abs(kept - (n - k)));
        const auto next = t.after(t.nearest(k));
        if (next != t.nearest(k)) CHECK((n - t.units[next]) % round == 0);
      }
}

TEST_CASE("spending parameters ends within half of the finest step") {
  for (const Index layers : {1, 3})
    for (const Index round : {1, 4}) {
      std::vector<Track> tracks;
      for (Index l = 0; l < layers; ++l) {
        tracks.push_back(layer("heads", 8, 640, {8, 1, 1}));
        tracks.push_back(layer("channels", 96, 36, {96, 1, round}));
      }
      double most = 0;
      for (const Track& t : tracks) most += t.spent.back();
      CHECK(smallest_step(tracks) == double(36 * round));
      for (double goal = 0; goal <= most; goal += 7) {
        const Positions at = spend(tracks, goal);
        CAPTURE(goal);
        CHECK(2 * std::abs(spent_by(tracks, at) - goal) <= double(36 * round));
      }
    }
}

TEST_CASE("where fine blocks together do not bridge a coarse one, the step says so and is kept") {
  // Heads at 100, and eight channels of which six can leave, at 7: sums are 100 i + 7 j with j up to 6.
  const std::vector<Track> tracks{layer("heads", 8, 100, {8, 1, 1}), layer("channels", 8, 7, {8, 2, 1})};
  CHECK(smallest_step(tracks) == 58);
  for (double goal = 0; goal <= 742; ++goal) {
    double nearest = 1e9;
    for (int i = 0; i <= 7; ++i)
      for (int j = 0; j <= 6; ++j) nearest = std::min(nearest, std::abs(100 * i + 7 * j - goal));
    CAPTURE(goal);
    CHECK(nearest <= 29);
    CHECK(std::abs(spent_by(tracks, spend(tracks, goal)) - goal) <= 29);
  }
}

TEST_CASE("spending keeps shares alike: heads and channels of all layers leave together") {
  std::vector<Track> tracks;
  for (int l = 0; l < 4; ++l) {
    tracks.push_back(layer("heads", 32, 2000, {32, 1, 1}));
    tracks.push_back(layer("channels", 1000, 100, {1000, 1, 1}));
  }
  const double half = 4 * (16 * 2000 + 500 * 100);
  CHECK(spend(tracks, half) == Positions{16, 500, 16, 500, 16, 500, 16, 500});
}

TEST_CASE("what costs nothing stays where it is") {
  const std::vector<Track> tracks{layer("heads", 8, 0, {8, 1, 1}), layer("channels", 100, 10, {100, 1, 1})};
  CHECK(spend(tracks, 500) == Positions{0, 50});
  CHECK(smallest_step(tracks) == 10);
}
