// SPDX-License-Identifier: MIT
// Which learned position a token has: by its place, or by the tokens before it that are no padding.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/model/bert.hpp>
#include <vector>

#include "oracle.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

/// Of two sequences of six: one padded in front, one with a token of padding inside and two behind.
template <class Kind>
std::vector<int> positions() {
  Oracle<double> device;
  BertConfig c;
  c.vocab = 9, c.hidden = 2, c.layers = 0, c.max_positions = 12, c.pad = 3;
  BertStem<Oracle<double>, Frozen, Kind> stem(device, c, {});
  Workspace<Oracle<double>> workspace(device);
  const std::vector<int> tokens{3, 3, 5, 8, 0, 7, 6, 3, 1, 2, 3, 3};
  const TextBatch batch{.tokens = tokens, .shape = {2, 6}};
  Pass<Oracle<double>> pass(workspace, batch.shape);
  const int* const at = stem.upload(pass, batch).positions;
  return {at, at + tokens.size()};
}

}  // namespace

TEST_CASE("BERT counts places") { CHECK((positions<Bert>() == std::vector<int>{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5})); }

TEST_CASE("RoBERTa counts tokens that are no padding, from behind the padding's number, which padding has itself") {
  CHECK((positions<Roberta>() == std::vector<int>{3, 3, 4, 5, 6, 7, 4, 3, 5, 6, 3, 3}));
}
