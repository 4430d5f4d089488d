// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <espalier/backend/cpu.hpp>
#include <espalier/core/random.hpp>
#include <espalier/prune/select_weights.hpp>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "fiber_team.hpp"
#include "oracle.hpp"
#include "oracle_numbers.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

/// A device whose teams have eight members.
template <class T>
struct CrewDevice : Oracle<T> {
  template <class F>
  void for_each_row(Index n, F f) {
    for (Index i = 0; i < n; ++i) run_row(crew, f, i);
  }
  Crew crew{8};
};

template <class A>
struct Scored {
  Index out, in;
  std::vector<A> score;           // (out, in)
  std::vector<std::uint8_t> gone{};  // (out, in) or empty
};
using Kept = std::vector<std::vector<double>>;

template <class Device, class A>
Kept chosen(const WeightPattern& pattern, const std::vector<Scored<A>>& all, double share, std::vector<int>* bad = nullptr) {
  Device device;
  Workspace<Device> workspace(device);
  Pass<Device> pass(workspace, {});
  std::vector<WeightChoice> choices;
  std::vector<std::vector<std::uint32_t>> words, gone(all.size());
  std::vector<int> flags(all.size(), 0);
  for (const auto& s : all) words.emplace_back(std::size_t(s.out * kernel::bit_words(s.in)), 7u);
  for (std::size_t n = 0; n < all.size(); ++n) {
    const auto& s = all[n];
    const Index per_row = kernel::bit_words(s.in);
    WeightChoice c{s.out, s.in, {}, 0, matrix(words[n].data(), s.out, per_row), &flags[n]};
    if (!s.gone.empty()) {
      gone[n].assign(words[n].size(), 0u);
      for (Index i = 0; i < s.out; ++i)
        for (Index j = 0; j < s.in; ++j)
          if (s.gone[std::size_t(i * s.in + j)] == 0) gone[n][std::size_t(i * per_row + j / 32)] |= 1u << (j % 32);
          else ++c.already;
      c.gone = matrix<const std::uint32_t>(gone[n].data(), s.out, per_row);
    }
    choices.push_back(c);
  }
  WeightSelection<Device>(pass, pattern).choose(choices, share, [&](Pass<Device>&, std::size_t n) {
    return [&s = all[n]](Index first, View<A, 2> panel) {
      std::copy_n(s.score.data() + first * s.in, panel.size(), panel.data);
    };
  });
  Kept kept;
  for (std::size_t n = 0; n < all.size(); ++n) {
    kept.emplace_back();
    for (Index i = 0; i < all[n].out; ++i)
      for (Index j = 0; j < all[n].in; ++j)
        kept.back().push_back(kernel::kept(words[n].data() + i * kernel::bit_words(all[n].in), j) ? 1 : 0);
    for (Index i = 0; i < all[n].out; ++i)  // what is behind a row's end is no weight
      if (all[n].in % 32 != 0)
        CHECK((words[n][std::size_t((i + 1) * kernel::bit_words(all[n].in) - 1)] >> (all[n].in % 32)) == 0);
  }
  if (bad) *bad = flags;
  return kept;
}

/// The definition: lists of what competes, sorted with ties in order, of which the first leave for as long as their middle
/// lies within the share of all weights.
template <class A>
Kept define(const WeightPattern& pattern, const std::vector<Scored<A>>& all, double share) {
  Kept kept;
  for (const auto& s : all) kept.emplace_back(s.score.size(), 1.0);
  struct Unit {
    double score;
    bool gone;
    std::size_t n;
    std::vector<std::size_t> members;
  };
  const auto leave = [&](std::vector<Unit> units, double s) {
    std::stable_sort(units.begin(), units.end(), [](const Unit& a, const Unit& b) {
      return a.gone != b.gone ? a.gone : a.score < b.score;
    });
    double weights = 0, before = 0;
    for (const Unit& u : units) weights += double(u.members.size());
    for (const Unit& u : units) {
      if (before + double(u.members.size()) / 2 > weights * s + 1e-9) break;
      for (const std::size_t e : u.members) kept[u.n][e] = 0;
      before += double(u.members.size());
    }
  };
  const auto weight = [&](std::size_t n, std::size_t e) {
    return Unit{double(all[n].score[e]), !all[n].gone.empty() && all[n].gone[e] != 0, n, {e}};
  };
  std::vector<Unit> model;
  for (std::size_t n = 0; n < all.size(); ++n) {
    const Index out = all[n].out, in = all[n].in;
    std::vector<Unit> projection;
    if (pattern.kind == WeightPattern::Kind::blocks) {
      const Index h = pattern.height == 0 ? out : pattern.height, w = pattern.width == 0 ? in : pattern.width;
      for (Index i = 0; i < out; i += h)
        for (Index j = 0; j < in; j += w) {
          Unit u{0, false, n, {}};
          for (Index r = i; r < std::min(out, i + h); ++r)
            for (Index c = j; c < std::min(in, j + w); ++c) {
              u.members.push_back(std::size_t(r * in + c));
              u.score += double(all[n].score[std::size_t(r * in + c)]);
            }
          u.score = double(A(u.score) / A(u.members.size()));
          projection.push_back(u);
        }
    } else {
      for (Index i = 0; i < out; ++i) {
        std::vector<Unit> row;
        for (Index j = 0; j < in; ++j) row.push_back(weight(n, std::size_t(i * in + j)));
        if (pattern.kind == WeightPattern::Kind::n_of_m) {
          const auto k = std::min(std::floor(double(pattern.m) * share + 0.5 + 1e-9), double(pattern.m - pattern.n));
          for (Index j = 0; j < in; j += pattern.m)
            leave({row.begin() + j, row.begin() + std::min(in, j + pattern.m)}, k / double(pattern.m));
        } else if (pattern.within == Within::row) {
          leave(std::move(row), share);
        } else {
          std::move(row.begin(), row.end(), std::back_inserter(projection));
        }
      }
    }
    const bool each = pattern.kind != WeightPattern::Kind::n_of_m && pattern.within == Within::projection;
    if (each) leave(std::move(projection), share);
    else std::move(projection.begin(), projection.end(), std::back_inserter(model));
  }
  if (pattern.kind != WeightPattern::Kind::n_of_m && pattern.within == Within::model) leave(std::move(model), share);
  return kept;
}

/// Whole numbers with many ties, so that sums of blocks are exact, or uniform ones.
template <class A>
std::vector<Scored<A>> draw(std::uint64_t seed, bool ties, int weights, Index most = 90) {
  std::vector<Scored<A>> all;
  const RandomStream stream{seed, Purpose::test};
  std::uint64_t at = 0;
  for (int n = 0; n < weights; ++n) {
    const Index out = 1 + Index(stream.bits(at++) % std::uint64_t(most)), in = 1 + Index(stream.bits(at++) % std::uint64_t(most));
    Scored<A> s{out, in, {}};
    for (Index i = 0; i < out * in; ++i)
      s.score.push_back(ties ? A(int(stream.bits(at++) % 7)) - 3 : A(stream.uniform(at++) - 0.5));
    all.push_back(s);
  }
  return all;
}

const WeightPattern kPatterns[] = {
    WeightPattern::unstructured(Within::row),   WeightPattern::unstructured(Within::projection),
    WeightPattern::unstructured(Within::model), WeightPattern::n_of_m(2, 4),
    WeightPattern::n_of_m(4, 8),                WeightPattern::n_of_m(1, 3),
    WeightPattern::n_of_m(5, 7),                WeightPattern::n_of_m(16, 50),
    WeightPattern::rows(),                      WeightPattern::columns(),
    WeightPattern::blocks(4, 4),                WeightPattern::blocks(3, 5, Within::model),
    WeightPattern::rows(Within::model),         WeightPattern::columns(Within::model),
    WeightPattern::blocks(2, 0)};

double removed(const std::vector<double>& kept) { return double(std::count(kept.begin(), kept.end(), 0.0)); }

}  // namespace

TEST_CASE_TEMPLATE("exactly the lowest leave, over random shapes, ties in order of index", Device, Cpu<float>, Cpu<double>,
                   CrewDevice<double>) {
  using A = typename Device::Accumulate;
  const int seeds = std::is_base_of_v<Oracle<A>, Device> ? 2 : 8;
  for (const WeightPattern& pattern : kPatterns)
    for (int seed = 0; seed < seeds; ++seed)
      for (const bool ties : {true, false}) {
        if (pattern.kind == WeightPattern::Kind::blocks && !ties) continue;  // sums in another order
        const auto all = draw<A>(std::uint64_t(seed), ties, 3);
        for (const double share : {0.0, 0.1, 0.37, 0.5, 0.75, 1.0}) {
          const std::string where = pattern.name() + " within " + name_of(pattern.within) + format(" at {}", share);
          CAPTURE(where);
          CAPTURE(seed);
          const bool same = chosen<Device>(pattern, all, share) == define(pattern, all, share);
          CHECK(same);
        }
      }
}

TEST_CASE("counts are exact: k of every row, k of every n:m group, k of all, for every share") {
  const auto all = draw<float>(3, false, 2, 70);
  for (int percent = 0; percent <= 100; percent += 3) {
    const double share = percent / 100.0;
    const auto rows = chosen<Cpu<float>>(WeightPattern::unstructured(Within::row), all, share);
    const auto one = chosen<Cpu<float>>(WeightPattern::unstructured(), all, share);
    const auto model = chosen<Cpu<float>>(WeightPattern::unstructured(Within::model), all, share);
    double sum = 0;
    Index total = 0;
    for (std::size_t n = 0; n < all.size(); ++n) {
      for (Index i = 0; i < all[n].out; ++i)
        CHECK(removed({rows[n].begin() + i * all[n].in, rows[n].begin() + (i + 1) * all[n].in}) ==
              WeightPattern::count(all[n].in, share));
      CHECK(removed(one[n]) == WeightPattern::count(all[n].out * all[n].in, share));
      CHECK(removed(one[n]) == WeightPattern::unstructured().leaving(all[n].out, all[n].in, share));
      CHECK(removed(rows[n]) == WeightPattern::unstructured(Within::row).leaving(all[n].out, all[n].in, share));
      for (const WeightPattern& p : {WeightPattern::n_of_m(2, 4), WeightPattern::n_of_m(3, 7), WeightPattern::rows()})
        CHECK(removed(chosen<Cpu<float>>(p, all, share)[n]) == p.leaving(all[n].out, all[n].in, share));
      sum += removed(model[n]), total += all[n].out * all[n].in;
    }
    CHECK(sum == WeightPattern::count(total, share));
  }
  CHECK(WeightPattern::count(6, 0.5) == 3);
  CHECK(WeightPattern::count(5, 0.5) == 3);   // ½ is rounded up
  CHECK(WeightPattern::count(10, 0.7) == 7);  // 0.7 · 10 lies below 7 in binary
  CHECK(WeightPattern::count(1000, 0.1) == 100);
}

TEST_CASE("blocks leave by what their weights are worth, however many they have, until the weights asked for have left") {
  // Three long rows, each weight worth 1 to 3, and thirty short ones worth 2 each.
  std::vector<Scored<double>> all{{3, 100, {}}, {30, 4, std::vector<double>(120, 2.0)}};
  for (int i = 0; i < 300; ++i) all[0].score.push_back(1 + i / 100);
  const auto rows = WeightPattern::rows(Within::model);
  const auto left = [&](double share) {
    const auto kept = chosen<Cpu<double>>(rows, all, share);
    return std::pair(removed(kept[0]), removed(kept[1]));
  };
  CHECK(left(49.0 / 420) == std::pair(0.0, 0.0));    // the first has a hundred weights, and its middle lies behind
  CHECK(left(50.0 / 420) == std::pair(100.0, 0.0));
  CHECK(left(150.0 / 420) == std::pair(200.0, 0.0));
  CHECK(left(299.9 / 420) == std::pair(200.0, 100.0));
  CHECK(left(1.0) == std::pair(300.0, 120.0));

  // Counts of weights are within half of the largest block, and where all are alike as the pattern says.
  for (int percent = 0; percent <= 100; percent += 10)
    for (const WeightPattern& p : {WeightPattern::blocks(4, 4), WeightPattern::blocks(4, 4, Within::model), WeightPattern::rows(Within::model),
                                   WeightPattern::columns(Within::model), WeightPattern::columns()}) {
      auto some = draw<double>(4, true, 3, 30);
      some.push_back({9, 6, std::vector<double>(54, 1.0)});
      const auto kept = chosen<Cpu<double>>(p, some, percent / 100.0);
      double asked = 0, gone = 0, step = 0;
      for (std::size_t n = 0; n < some.size(); ++n) {
        const double weights = double(some[n].out * some[n].in) * percent / 100.0, own = removed(kept[n]);
        asked += weights, gone += own, step = std::max(step, double(p.step(some[n].out, some[n].in)));
        if (p.within == Within::model) continue;
        CHECK(2 * std::abs(own - weights) <= double(p.step(some[n].out, some[n].in)) + 1e-6);
        if (p.even(some[n].out, some[n].in)) CHECK(own == double(p.leaving(some[n].out, some[n].in, percent / 100.0)));
      }
      if (p.within == Within::model) CHECK(2 * std::abs(gone - asked) <= step + 1e-6);
    }
}

TEST_CASE("of a rest that is no whole n:m group the same share leaves, and no more than n stay") {
  for (const auto& [n, m] : {std::pair<Index, Index>{2, 4}, {4, 8}, {1, 3}, {16, 32}, {5, 7}}) {
    const auto p = WeightPattern::n_of_m(n, m);
    for (Index in = 1; in < 2 * m; ++in) {
      const Index rest = in % m, leaving = p.leaving(1, in, p.share(0)) - in / m * (m - n);
      CHECK(std::abs(double(leaving) - double(rest * (m - n)) / double(m)) <= 0.5);
      CHECK(rest - leaving <= n);
    }
  }
}

TEST_CASE("blocks that are gone stay gone, whatever the others score, and however little more is asked for") {
  for (const Within within : {Within::projection, Within::model}) {
    const WeightPattern pattern = WeightPattern::blocks(3, 5, within);
    auto all = draw<double>(9, true, 2);
    for (auto& s : all) s.gone.assign(s.score.size(), 0);
    const RandomStream stream{77, Purpose::test};
    std::uint64_t at = 0;
    for (int percent = 0; percent <= 60; percent += 2) {
      const auto kept = chosen<Cpu<double>>(pattern, all, percent / 100.0);
      int back = 0;
      for (std::size_t n = 0; n < all.size(); ++n)
        for (std::size_t e = 0; e < kept[n].size(); ++e) {
          back += all[n].gone[e] != 0 && kept[n][e] != 0;
          all[n].gone[e] = kept[n][e] == 0;
          all[n].score[e] = stream.uniform(at++);
        }
      CHECK(back == 0);
    }
  }
}

TEST_CASE("what is gone already leaves first") {
  for (const WeightPattern& pattern : kPatterns) {
    if (pattern.kind == WeightPattern::Kind::blocks) continue;
    auto all = draw<double>(9, true, 2);
    const auto before = chosen<Cpu<double>>(pattern, all, 0.3);
    const RandomStream stream{77, Purpose::test};
    std::uint64_t at = 0;
    for (std::size_t n = 0; n < all.size(); ++n) {
      for (const double k : before[n]) all[n].gone.push_back(k == 0);
      for (double& s : all[n].score) s = stream.uniform(at++);
    }
    const auto after = chosen<Cpu<double>>(pattern, all, 0.6);
    CHECK((after == define(pattern, all, 0.6)));
    for (std::size_t n = 0; n < all.size(); ++n)
      for (std::size_t e = 0; e < before[n].size(); ++e)
        if (before[n][e] == 0) CHECK(after[n][e] == 0);
  }
}

TEST_CASE("weights larger than a panel") {
  std::vector<Scored<float>> all = draw<float>(5, true, 1);
  const RandomStream stream{6, Purpose::test};
  all.push_back({520, 2100, {}});
  for (Index i = 0; i < 520 * 2100; ++i) all[1].score.push_back(float(stream.bits(std::uint64_t(i)) % 1000));
  CHECK(panel_rows(520, 2100) < 520);
  for (const WeightPattern& pattern : {WeightPattern::unstructured(), WeightPattern::unstructured(Within::model),
                                       WeightPattern::blocks(7, 9), WeightPattern::columns(), WeightPattern::n_of_m(2, 4)}) {
    CAPTURE(pattern.name());
    const bool same = chosen<Cpu<float>>(pattern, all, 0.45) == define(pattern, all, 0.45);
    CHECK(same);
  }
}

TEST_CASE("a score that is not finite is told, of its weight alone") {
  auto all = draw<double>(2, false, 3);
  all[1].score.back() = std::numeric_limits<double>::quiet_NaN();
  for (const WeightPattern& pattern : kPatterns) {
    std::vector<int> bad;
    chosen<Cpu<double>>(pattern, all, 0.5, &bad);
    CHECK(bad == std::vector<int>{0, 1, 0});
  }
}

TEST_CASE("the oracle's masks: half of all, and 2:4, of the LoRA-guided score") {
  const auto& want = oracle_numbers()["parallel"];
  const std::vector<Scored<double>> all{{6, 8, numbers(want["importance"]["lora_sq"])}};
  CHECK(chosen<Cpu<double>>(WeightPattern::unstructured(), all, 0.5)[0] == numbers(want["topk_mask_50_lora_sq"]));
  CHECK(chosen<Cpu<double>>(WeightPattern::n_of_m(2, 4), all, 0.5)[0] == numbers(want["nm_2of4_mask_lora_sq"]));
  const auto& wanda = oracle_numbers()["baselines"];
  const std::vector<Scored<double>> rows{{4, 6, numbers(wanda["wanda"])}};
  CHECK(chosen<Cpu<double>>(WeightPattern::unstructured(Within::row), rows, 0.5)[0] == numbers(wanda["wanda_mask_50_per_row"]));
}

TEST_CASE("patterns have the field's names, and what is none is refused") {
  for (const char* name : {"unstructured", "2:4", "4:8", "1:32", "rows", "columns", "4x4", "32x1"})
    CHECK(WeightPattern::called(name).name() == name);
  for (const char* name : {"", "2:", ":4", "4:4", "5:4", "0:4", "1x1", "x", "4x", "2:300", "2:4:8", "-2:4", "both", "99999999999:4"})
    CHECK_THROWS_AS(WeightPattern::called(name), Error);
  CHECK_THROWS_AS(WeightPattern::called("rows", Within::row), Error);
  CHECK_THROWS_WITH_AS(WeightPattern::called("4x4", Within::row), doctest::Contains("blocks reach over rows"), Error);
}
