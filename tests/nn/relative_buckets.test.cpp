// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/nn/relative_buckets.hpp>
#include <vector>

using namespace espalier;

namespace {
void expect(const RelativeBuckets& buckets, const std::vector<Index>& distances, const std::vector<Index>& expected) {
  for (std::size_t i = 0; i < distances.size(); ++i) {
    CAPTURE(distances[i]);
    CHECK(buckets.of(distances[i]) == std::min(expected[i] + buckets.span(), buckets.count() - 1));
    CHECK(buckets.of(-distances[i]) == std::max(buckets.span() - expected[i], Index{0}));
  }
  for (Index d = -700; d < 700; ++d) REQUIRE(buckets.of(d) <= buckets.of(d + 1));
}
}  // namespace

TEST_CASE("near distances have buckets of their own, far ones share them: what transformers' make_log_bucket_position says") {
  expect({.reach = 512, .buckets = 256}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 15, 20, 127, 128, 129, 130, 200, 300, 400, 510, 511, 512, 600},
         {0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 15, 20, 127, 128, 129, 130, 169, 207, 233, 255, 255, 256, 270});
  expect({.reach = 12, .buckets = 6}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 15, 20, 127, 128, 129, 130, 200, 300, 400, 510, 511, 512, 600},
         {0, 1, 2, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 9, 9, 9, 9, 10, 11, 11, 11, 11, 11, 12});
  expect({.reach = 8, .buckets = 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 15, 20, 127, 128, 129, 130, 200, 300, 400, 510, 511, 512, 600},
         {0, 1, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7});
}
TEST_CASE("without buckets distances are told apart as far as they reach, and held there beyond") {
  const RelativeBuckets none{.reach = 5, .buckets = 0};
  CHECK(none.count() == 10);
  expect(none, {0, 1, 4, 5, 6, 100}, {0, 1, 4, 5, 6, 100});
  CHECK(none.of(-100) == 0);
  CHECK(none.of(100) == 9);
}
