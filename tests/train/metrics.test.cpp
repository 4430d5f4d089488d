// SPDX-License-Identifier: MIT
// Numbers of scikit-learn 1.7.2 and scipy 1.16.2, and some by hand.
#include <doctest/doctest.h>
#include <cmath>
#include <espalier/train/metrics.hpp>

using namespace espalier;

namespace {
const std::vector<int> kWanted{1, 3, 0, 0, 3, 1, 3, 1, 3, 0, 0, 1, 0, 3, 1, 0, 2, 1, 2, 0, 2, 1, 2},
    kPredicted{1, 3, 0, 0, 2, 1, 3, 1, 3, 1, 2, 1, 0, 0, 1, 3, 2, 1, 3, 0, 1, 1, 2};
const std::vector<int> kYes{1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1}, kSaidYes{1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1};
const std::vector<double> kX{1.0, -0.1, 0.7, -2.2, -1.3, 1.4, 1.9, 1.0, 0.4, -0.7, -1.3, 1.3, -0.7, 1.3, 0.5},
    kY{0.9, -0.1, 0.3, -1.6, -1.2, 0.9, 1.6, 1.1, 0.6, 0.0, -1.3, 1.0, -1.1, 1.7, 0.3};
}  // namespace

TEST_CASE("accuracy, F1 and Matthews' correlation are scikit-learn's, of two classes and of more") {
  CHECK(accuracy(kPredicted, kWanted) == doctest::Approx(0.6956521739130435).epsilon(1e-14));
  CHECK(macro_f1(kPredicted, kWanted) == doctest::Approx(0.6604166666666667).epsilon(1e-14));
  CHECK(f1(kPredicted, kWanted) == doctest::Approx(0.875).epsilon(1e-14));
  CHECK(f1(kPredicted, kWanted, 3) == doctest::Approx(0.6).epsilon(1e-14));
  CHECK(matthews(kPredicted, kWanted) == doctest::Approx(0.5932961052395465).epsilon(1e-14));
  CHECK(accuracy(kSaidYes, kYes) == doctest::Approx(0.7058823529411765).epsilon(1e-14));
  CHECK(f1(kSaidYes, kYes) == doctest::Approx(0.7619047619047619).epsilon(1e-14));
  CHECK(matthews(kSaidYes, kYes) == doctest::Approx(0.3825184261187248).epsilon(1e-14));
}

TEST_CASE("correlations are scipy's; equal numbers share their rank") {
  CHECK(pearson(kX, kY) == doctest::Approx(0.9553663284743851).epsilon(1e-14));
  CHECK(spearman(kX, kY) == doctest::Approx(0.9344718830240163).epsilon(1e-14));
  CHECK(ranks(kX) == std::vector<double>{10.5, 6, 9, 1, 2.5, 14, 15, 10.5, 7, 4.5, 2.5, 12.5, 4.5, 12.5, 8});
  const std::vector<double> line{1, 2, 3}, back{9, 6, 3}, flat{4, 4, 4};
  CHECK(pearson(line, back) == -1);
  CHECK(std::isnan(pearson(line, flat)));
  CHECK(std::isnan(spearman(line, std::vector<double>{1, std::nan(""), 2})));
}

TEST_CASE("a label of -100 does not count; what cannot be said is 0 or not a number; what does not fit is refused") {
  const std::vector<int> wanted{1, kIgnore, 0, 1}, predicted{1, 1, 0, 0}, zeros{0, 0, 0, 0}, none{kIgnore, kIgnore, kIgnore, kIgnore};
  CHECK(accuracy(predicted, wanted) == doctest::Approx(2.0 / 3));
  CHECK(f1(predicted, wanted) == doctest::Approx(2.0 / 3));
  CHECK(matthews(zeros, wanted) == 0);
  CHECK(f1(zeros, zeros) == 0);
  CHECK(std::isnan(accuracy(zeros, none)));
  CHECK(most_likely(std::vector<float>{1, 3, 3, 5, 2, 2}, 3) == std::vector<int>{1, 0});
  CHECK_THROWS_WITH_AS(accuracy(std::vector<int>{1}, wanted), doctest::Contains("1 predictions for 4 labels"), Error);
  CHECK_THROWS_WITH_AS(accuracy(std::vector<int>{1, 0, -1, 0}, wanted), doctest::Contains("class -1"), Error);
  CHECK_THROWS_WITH_AS(most_likely(std::vector<float>{1, 2}, 3), doctest::Contains("2 logits are no rows of 3"), Error);
  CHECK_THROWS_WITH_AS(pearson(kX, std::vector<double>{1}), doctest::Contains("15 predictions for 1 values"), Error);
}
