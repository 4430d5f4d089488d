// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/data/tokens.hpp>
#include <map>
#include <numeric>
#include <set>
#include <vector>

using namespace espalier;

namespace {
TokenFile counting(int n) {
  std::vector<int> ids(static_cast<std::size_t>(n));
  std::iota(ids.begin(), ids.end(), 0);
  return TokenFile::of(ids);
}
std::vector<int> all(std::span<const int> x) { return {x.begin(), x.end()}; }
}  // namespace

TEST_CASE("A window is length + 1 tokens, and the next begins where its targets end") {
  const auto file = counting(14);  // three windows of 4 + 1 and one token that belongs to none
  auto batches = file.batches({.size = 3, .length = 4, .shuffle = false});
  CHECK(batches.windows() == 3);
  CHECK(batches.steps() == 1);
  batches.prepare(0);
  CHECK(all(batches[0].tokens) == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  CHECK(all(batches[0].targets) == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  CHECK(batches[0].weight == 1.0 / 12);
  CHECK(counting(13).batches({.size = 1, .length = 4}).windows() == 3);
  CHECK(counting(12).batches({.size = 1, .length = 4}).windows() == 2);
}

TEST_CASE("Every epoch sees every window once, in another order") {
  const auto file = counting(41);  // ten windows of 4
  auto batches = file.batches({.size = 2, .length = 4, .steps = 20, .seed = 5});
  std::vector<std::vector<int>> epochs(4);
  Index sample = 0;
  for (const Batch batch : batches)
    for (Index w = 0; w < 2; ++w, ++sample)
      epochs[std::size_t(sample / 10)].push_back(batch.tokens[std::size_t(w * 4)]);
  CHECK(sample == 40);
  std::set<std::vector<int>> orders(epochs.begin(), epochs.end());
  CHECK(orders.size() == 4);
  for (const auto& epoch : epochs) {
    CHECK(epoch.size() == 10);
    CHECK(std::set<int>(epoch.begin(), epoch.end()).size() == 10);
  }
  CHECK(batches.epochs(5) == 1);
}

TEST_CASE("A step has the same batches whether one comes to it or jumps to it") {
  const auto file = counting(200);
  const BatchOptions options{.size = 2, .length = 5, .steps = 30, .seed = 9, .accumulate = 2};
  auto walked = file.batches(options), jumped = file.batches(options);
  Index n = 0;
  for (const Batch batch : walked) {
    jumped.prepare(n / 2);
    CHECK(all(batch.tokens) == all(jumped[n % 2].tokens));
    CHECK(Index(batch.micro) == n % 2);
    ++n;
  }
  CHECK(n == 60);
  auto other = file.batches({.size = 2, .length = 5, .steps = 30, .seed = 10, .accumulate = 2});
  other.prepare(0), jumped.prepare(0);
  CHECK(all(other[0].tokens) != all(jumped[0].tokens));
}

TEST_CASE("Documents are cut on their own, padded with what does not count, and weighed over the whole step") {
  Tokens t;
  t.source = "x", t.ids = {1, 2, 3, 4, 5, 6, 7, 8, 9}, t.labels = {1, 2, -100, 4, 5, 6, 7, 8, 9}, t.ends = {6, 7, 9};
  const TokenFile file(t);
  auto batches = file.batches({.size = 1, .length = 3, .shuffle = false, .accumulate = 3});
  CHECK(batches.windows() == 3);  // 1 2 3 | 4 5 ·; nothing to predict in the document of one; 8 · ·
  batches.prepare(0);
  CHECK(all(batches[0].tokens) == std::vector<int>{1, 2, 3});
  CHECK(all(batches[0].targets) == std::vector<int>{2, -100, 4});
  CHECK(all(batches[1].tokens) == std::vector<int>{4, 5, 0});
  CHECK(all(batches[1].targets) == std::vector<int>{5, 6, -100});
  CHECK(all(batches[2].tokens) == std::vector<int>{8, 0, 0});
  CHECK(all(batches[2].targets) == std::vector<int>{9, -100, -100});
  CHECK(batches.counted() == 5);
  for (Index k = 0; k < 3; ++k) CHECK(batches[k].weight == 1.0 / 5);
}

TEST_CASE("Too little text and sizes that make no sense are refused") {
  CHECK_THROWS_AS(counting(4).batches({.length = 4}), Error);
  CHECK_THROWS_AS(TokenFile::of({}).batches({.length = 4}), Error);
  CHECK_THROWS_AS(counting(40).batches({.size = 0}), Error);
  CHECK_THROWS_AS(counting(40).batches({.length = 4, .accumulate = 0}), Error);
  CHECK_NOTHROW(counting(5).batches({.size = 8, .length = 4}));  // fewer windows than a batch has: some come twice
}
