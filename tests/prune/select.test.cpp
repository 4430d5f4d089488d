// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/prune/select.hpp>
#include <numeric>

using namespace espalier;
using Bits = std::vector<std::uint8_t>;

namespace {

Candidates group(std::string kind, Index layer, Index cost, std::vector<double> scores) {
  Candidates c{.kind = std::move(kind),
               .layer = layer,
               .full = Index(scores.size()),
               .cost = cost,
               .price = double(cost),
               .scores = scores,
               .alive = {}};
  c.alive.assign(scores.size(), 1);
  return c;
}
std::vector<Candidates> two_layers() {
  return {group("heads", 0, 50, {1, 2, 3, 4}), group("channels", 0, 10, {1, 2, 3, 4, 5, 6, 7, 8}),
          group("heads", 1, 50, {5, 6, 7, 8}), group("channels", 1, 10, {11, 12, 13, 14, 15, 16, 17, 18})};
}
std::vector<Bits> bits(const std::vector<Candidates>& groups) {
  std::vector<Bits> out;
  for (const auto& c : groups) out.push_back(c.alive);
  return out;
}
std::vector<Bits> choose(std::vector<Candidates> groups, const PrunerOptions& options, const Goal& goal) {
  Selection(groups, options).choose(goal);
  return bits(groups);
}

}  // namespace

TEST_CASE("local ranking takes the lowest of every layer") {
  CHECK(choose(two_layers(), {}, {.share = 0.5}) ==
        std::vector<Bits>{{0, 0, 1, 1}, {0, 0, 0, 0, 1, 1, 1, 1}, {0, 0, 1, 1}, {0, 0, 0, 0, 1, 1, 1, 1}});
}

TEST_CASE("global ranking takes the lowest over layers, kind by kind, and leaves every layer one unit") {
  CHECK(choose(two_layers(), {.ranking = Ranking::global}, {.share = 0.5}) ==
        std::vector<Bits>{{0, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 1}, {0, 1, 1, 1}, {0, 1, 1, 1, 1, 1, 1, 1}});
}

TEST_CASE("per cost, all kinds compete and the budget is met as nearly as their order allows") {
  // Per parameter: heads of layer 0 at 0.02 … 0.08, of layer 1 at 0.1 … 0.16; channels at 0.1 … 0.8 and 1.1 … 1.8.
  const PrunerOptions o{.ranking = Ranking::global, .per_cost = true};
  // 560 in all; a quarter is 140: three heads of layer 0 make 150, the nearest.
  CHECK(choose(two_layers(), o, {.share = 0.25}) ==
        std::vector<Bits>{{0, 0, 0, 1}, Bits(8, 1), Bits(4, 1), Bits(8, 1)});
  CHECK(choose(two_layers(), o, {.spent = 100, .by_budget = true})[0] == Bits{0, 0, 1, 1});
}

TEST_CASE("excluded and skipped groups stay as they are") {
  for (const bool skipped : {false, true}) {
    auto groups = two_layers();
    (skipped ? groups[1].skipped : groups[1].excluded) = true;
    groups[1].alive = {1, 0, 1, 1, 1, 1, 1, 1};
    for (const Ranking ranking : {Ranking::local, Ranking::global})
      CHECK(choose(groups, {.ranking = ranking}, {.share = 0.5})[1] == groups[1].alive);
  }
}

TEST_CASE("without revival what is masked stays masked; with it the lowest leave, whoever they were") {
  auto groups = two_layers();
  groups[0].alive = {1, 1, 1, 0}, groups[2].alive = {1, 1, 0, 0};
  for (const Ranking ranking : {Ranking::local, Ranking::global}) {
    const auto none = choose(groups, {.ranking = ranking}, {.share = 0.5});
    CHECK(none[0][3] == 0);
    CHECK(none[2][2] == 0);
    CHECK(none[2][3] == 0);
    const auto ema = choose(groups, {.ranking = ranking, .revival = Revival::ema}, {.share = 0.5});
    CHECK(ema[0][3] == 1);
    CHECK(ema[2][3] == 1);
  }
  // A share that has been exceeded already takes nobody else.
  CHECK(choose(groups, {}, {.share = 0.1})[2] == Bits{1, 1, 0, 0});
}

TEST_CASE("units that were compacted away count as removed") {
  auto groups = two_layers();
  groups[0].full = 6, groups[2].full = 6;  // two are gone in each
  const auto local = choose(groups, {}, {.share = 0.5});
  CHECK(local[0] == Bits{0, 1, 1, 1});
  CHECK(local[2] == Bits{0, 1, 1, 1});
  CHECK(choose(groups, {.ranking = Ranking::global}, {.share = 0.5})[0] == Bits{0, 0, 1, 1});
}

TEST_CASE("rounding holds in every layer under both rankings") {
  for (const Ranking ranking : {Ranking::local, Ranking::global})
    for (const double share : {0.2, 0.5, 0.8}) {
      auto groups = two_layers();
      for (auto& c : groups) c.round = c.kind == "channels" ? 4 : 1;
      for (const auto& alive : choose(groups, {.ranking = ranking, .round_to = 4}, {.share = share}))
        if (alive.size() == 8) CHECK(std::accumulate(alive.begin(), alive.end(), 0) % 4 == 0);
    }
}

TEST_CASE("uniform: a goal in parameters gives every layer the same counts") {
  for (Index goal = 0; goal <= 420; goal += 10) {
    const auto got = choose(two_layers(), {.uniform = true}, {.spent = double(goal), .by_budget = true});
    const auto kept = [&](std::size_t g) { return std::accumulate(got[g].begin(), got[g].end(), 0); };
    CHECK(kept(0) == kept(2));
    CHECK(kept(1) == kept(3));
    const Index removed = 2 * (50 * (4 - kept(0)) + 10 * (8 - kept(1)));
    CAPTURE(goal);
    CHECK(2 * std::abs(removed - goal) <= 20);
  }
}
