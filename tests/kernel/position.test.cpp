// SPDX-License-Identifier: MIT
// Learned positions: rows of a table, by the place in the sequence or by what a list says.
#include <doctest/doctest.h>
#include <espalier/kernel/position.hpp>
#include <espalier/kernel/segment.hpp>
#include <vector>

#include "oracle.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

const std::vector<double> kTable{1, 2, 3, 4, 5, 6, 7, 8}, kPositions{10, 20, 30, 40, 50, 60}, kSegments{100, 200, 300, 400};
const std::vector<int> kTokens{3, 0, 0, 2, 1, 3}, kPlaces{2, 2, 0, 1, 0, 2}, kKinds{0, 1, 1, 0, 0, 1};  // two sequences of three

template <class T>
View<const T, 2> pairs(const std::vector<T>& x) {
  return matrix(x.data(), Index(x.size()) / 2, 2);
}
template <class Make>
std::vector<double> embedded(const Make& make) {
  std::vector<double> y(12);
  Oracle<double>().for_each_row(6, make(matrix(y.data(), 6, 2)));
  return y;
}

}  // namespace

TEST_CASE("a token is its row and that of its place in the sequence, or of the position that it is given") {
  const auto make = [](const int* at) {
    return [at](View<double, 2> y) { return kernel::EmbedWithPosition<double, double>{pairs(kTable), pairs(kPositions), kTokens.data(), 3, y, at}; };
  };
  CHECK((embedded(make(nullptr)) == std::vector<double>{17, 28, 31, 42, 51, 62, 15, 26, 33, 44, 57, 68}));
  CHECK((embedded(make(kPlaces.data())) == std::vector<double>{57, 68, 51, 62, 11, 22, 35, 46, 13, 24, 57, 68}));
}

TEST_CASE("of a text it is that of its kind as well, the first where none is given; of no kinds and no positions nothing is added") {
  const auto make = [](View<const double, 2> kinds, View<const double, 2> places, const int* kind) {
    return [=](View<double, 2> y) {
      return kernel::EmbedWithSegment<double, double>{pairs(kTable), kinds, places, kTokens.data(), kind, kPlaces.data(), y};
    };
  };
  CHECK((embedded(make(pairs(kSegments), pairs(kPositions), kKinds.data())) ==
         std::vector<double>{157, 268, 351, 462, 311, 422, 135, 246, 113, 224, 357, 468}));
  CHECK((embedded(make(pairs(kSegments), {}, nullptr)) == std::vector<double>{107, 208, 101, 202, 101, 202, 105, 206, 103, 204, 107, 208}));
  CHECK((embedded(make({}, {}, nullptr)) == std::vector<double>{7, 8, 1, 2, 1, 2, 5, 6, 3, 4, 7, 8}));
}
