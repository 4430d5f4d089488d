// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/data/tokens.hpp>
#include <map>
#include <numeric>
#include <string>
#include <vector>

using namespace espalier;

namespace {

/// Ids are their own numbers, cut into documents of these lengths.
Tokens documents(const std::vector<Index>& lengths) {
  Tokens t;
  t.source = "lengths";
  for (const Index n : lengths) t.ends.push_back((t.ends.empty() ? 0 : t.ends.back()) + n);
  t.ids.resize(std::size_t(t.ends.back()));
  std::iota(t.ids.begin(), t.ids.end(), 0);
  return t;
}
std::vector<int> all(std::span<const int> x) { return {x.begin(), x.end()}; }

/// Many documents, most of them short.
std::vector<Index> many(Index count) {
  std::vector<Index> lengths;
  const RandomStream random{4, Purpose::test};
  for (Index i = 0; i < count; ++i) lengths.push_back(1 + Index(random.bits(std::uint64_t(i)) % (i % 5 == 0 ? 200 : 30)));
  return lengths;
}

}  // namespace

TEST_CASE("Documents share a window: positions begin anew in each, and no last token predicts the next document's first") {
  // Fed are 3, 1, 4 and 2 tokens, the last of each document to nobody.
  auto batches = TokenFile(documents({4, 2, 5, 3})).batches({.size = 2, .length = 6, .shuffle = false, .packing = Packing::documents});
  CHECK(batches.windows() == 2);
  CHECK(batches.fed() == 10);
  batches.prepare(0);
  CHECK(all(batches[0].tokens) == std::vector<int>{6, 7, 8, 9, 11, 12, 0, 1, 2, 4, 0, 0});
  CHECK(all(batches[0].targets) == std::vector<int>{7, 8, 9, 10, 12, 13, 1, 2, 3, 5, -100, -100});
  CHECK(all(batches[0].positions) == std::vector<int>{0, 1, 2, 3, 0, 1, 0, 1, 2, 0, 0, 0});
  CHECK(batches[0].weight == 1.0 / 10);
}

TEST_CASE("A document that is longer than a window goes on in another, with positions of its own and nothing lost") {
  auto batches = TokenFile(documents({10, 2})).batches({.size = 1, .length = 4, .steps = 3, .shuffle = false, .packing = Packing::documents});
  CHECK(batches.windows() == 3);
  std::vector<int> tokens, targets, positions;
  for (const Batch batch : batches) {
    for (const int id : batch.tokens) tokens.push_back(id);
    for (const int id : batch.targets) targets.push_back(id);
    for (const int at : batch.positions) positions.push_back(at);
  }
  CHECK(tokens == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 0, 0});
  CHECK(targets == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, -100, -100});
  CHECK(positions == std::vector<int>{0, 1, 2, 3, 0, 1, 2, 3, 0, 0, 0, 0});
}

TEST_CASE("Every token but the first of a document is predicted once an epoch, packed or not, and packing needs fewer windows") {
  const auto lengths = many(500);
  const Tokens t = documents(lengths);
  const TokenFile file(t);
  const Index length = 64;
  Index windows[2];
  for (const Packing packing : {Packing::none, Packing::documents}) {
    auto batches = file.batches({.size = 1, .length = length, .packing = packing});
    std::map<int, int> predicted;
    for (const Batch batch : batches)
      for (std::size_t i = 0; i < batch.targets.size(); ++i) {
        if (batch.targets[i] == kIgnore) continue;
        REQUIRE(batch.targets[i] == batch.tokens[i] + 1);
        ++predicted[batch.targets[i]];
      }
    Index expected = 0, begin = 0;
    for (const Index n : lengths) {
      for (Index i = 1; i < n; ++i, ++expected) REQUIRE(predicted[int(begin + i)] == 1);
      REQUIRE(predicted.find(int(begin)) == predicted.end());
      begin += n;
    }
    CHECK(Index(predicted.size()) == expected);
    CHECK(batches.fed() == expected);
    windows[packing == Packing::documents] = batches.windows();
  }
  auto batches = file.batches({.length = length, .packing = Packing::documents});
  const double least = double(batches.fed()) / double(length);
  CHECK(double(windows[1]) <= 11.0 / 9 * least + 1);  // and no packing needs less than `least`
  CHECK(windows[1] * 2 < windows[0]);
}

TEST_CASE("Rows hold what fits: each piece once, the longest first, into the row that it fills best") {
  const std::vector<Piece> pieces{{0, 3}, {10, 15}, {20, 22}, {30, 35}, {40, 44}, {50, 51}};
  const PackedRows rows = packed(pieces, 8);
  REQUIRE(rows.rows() == 3);
  const auto sizes = [&](Index row) {
    std::vector<Index> n;
    for (const Piece& p : rows.row(row)) n.push_back(p.size());
    return n;
  };
  CHECK(sizes(0) == std::vector<Index>{5, 2, 1});
  CHECK(sizes(1) == std::vector<Index>{5, 3});
  CHECK(sizes(2) == std::vector<Index>{4});
  CHECK(rows.row(0)[0].first == 10);
  CHECK(packed({}, 8).rows() == 0);
}

TEST_CASE("A packed step has the same batches whether one comes to it or jumps to it, and every epoch has an order of its own") {
  const TokenFile file(documents(many(60)));
  const BatchOptions options{.size = 2, .length = 32, .steps = 40, .seed = 3, .accumulate = 2, .packing = Packing::documents};
  auto walked = file.batches(options), jumped = file.batches(options);
  Index n = 0;
  for (const Batch batch : walked) {
    jumped.prepare(n / 2);
    REQUIRE(all(batch.tokens) == all(jumped[n % 2].tokens));
    REQUIRE(all(batch.positions) == all(jumped[n % 2].positions));
    ++n;
  }
  CHECK(n == 80);
  CHECK(walked.epochs(40) > 2);
}

TEST_CASE("Settings say that documents are packed, and are what they were where they are not") {
  const TokenFile file(documents({9, 9}));
  CHECK(file.batches({.length = 4}).settings().find("packing") == nullptr);
  CHECK(file.batches({.length = 4, .packing = Packing::documents}).settings().text("packing") == "documents");
  auto plain = file.batches({.size = 1, .length = 4});
  plain.prepare(0);
  CHECK(plain[0].positions.empty());
}

TEST_CASE("A text that says where documents end becomes documents") {
  const TokenFile stream = TokenFile::of({7, 1, 2, 0, 3, 0, 0, 4, 5, 9, 6});
  const auto ends = [](const TokenFile& file) { return file.tokens().ends; };
  CHECK(ends(stream.in_documents({0})) == std::vector<Index>{4, 6, 7, 11});
  CHECK(ends(stream.in_documents({9, 0})) == std::vector<Index>{4, 6, 7, 10, 11});
  CHECK(ends(stream.in_documents({6})) == std::vector<Index>{11});
  Tokens lines = documents({3, 4});  // a line may hold several
  CHECK(ends(TokenFile(lines).in_documents({0, 4, 6})) == std::vector<Index>{1, 3, 5, 7});
  CHECK(ends(TokenFile(lines).in_documents({99})) == std::vector<Index>{3, 7});
  CHECK(stream.in_documents({0}).tokens().hash() != stream.tokens().hash());
  // What ends a document is predicted by its last token and predicts nothing.
  auto batches = stream.in_documents({0}).batches({.size = 1, .length = 8, .shuffle = false, .packing = Packing::documents});
  batches.prepare(0);
  CHECK(all(batches[0].tokens) == std::vector<int>{7, 1, 2, 4, 5, 9, 3, 0});
  CHECK(all(batches[0].targets) == std::vector<int>{1, 2, 0, 5, 9, 6, 0, -100});
}

TEST_CASE("Where there are no documents, packing says so and what to do") {
  const auto message = [](const auto& f) -> std::string {
    try {
      f();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const TokenFile stream = TokenFile::of({7, 1, 2, 3, 4}, 0, "train.bin");
  CHECK(message([&] { stream.batches({.length = 2, .packing = Packing::documents}); }).find("train.bin: one text without documents") == 0);
  CHECK(message([&] { stream.in_documents({50256, 0}); }).find("there is no token 50256, 0 among them") != std::string::npos);
  CHECK(message([&] { TokenFile(documents({1, 1})).batches({.length = 2, .packing = Packing::documents}); }).find("less than one window") != std::string::npos);
}
