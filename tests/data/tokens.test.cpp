// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/data/tokens.hpp>
#include <string>

#include "support/temporary_directory.hpp"

using namespace espalier;

namespace {
std::string refusal(const auto& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was refused";
}
bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE("The ending of a name says how a file is read") {
  const test::TemporaryDirectory folder;
  test::spill(folder / "a.txt", "ab");
  test::spill(folder / "a.bin", std::string("a\0b\0", 4));
  test::spill(folder / "a.jsonl", "{\"input_ids\": [97, 98]}\n");
  for (const char* name : {"a.txt", "a.bin", "a.jsonl"})
    CHECK(TokenFile(folder / name).tokens().ids == std::vector<int>{97, 98});
  CHECK(holds(refusal([&] { TokenFile(folder / "a.npy"); }), "read_npy_tokens"));
  CHECK(holds(refusal([&] { TokenFile(folder / "a.parquet"); }), ".jsonl"));
  CHECK(holds(refusal([&] { TokenFile(folder / "nothing.bin"); }), "nothing.bin: cannot open"));
  CHECK(holds(refusal([&] { TokenFile(folder.path().string() + ".bin/../"); }), "expected token ids"));
}

TEST_CASE("The last tenth is held out, by ids or by documents") {
  std::vector<int> ids(105);
  for (int i = 0; i < 105; ++i) ids[std::size_t(i)] = i;
  const auto [train, rest] = TokenFile::of(ids).split();
  CHECK(train.size() == 94);
  CHECK(rest.size() == 11);
  CHECK(rest.tokens().ids.front() == 94);
  const auto [rows, last] = TokenFile::of(ids, 5).split(0.2);
  CHECK(rows.tokens().documents() == 17);
  CHECK(last.tokens().documents() == 4);
  CHECK(last.tokens().ids.front() == 85);
  CHECK(last.tokens().ends == std::vector<Index>{5, 10, 15, 20});
  CHECK_THROWS_AS(TokenFile::of(ids).split(1), Error);
  CHECK_THROWS_AS(TokenFile::of(ids, 4), Error);
}

TEST_CASE("A file may go while its batches are in use") {
  Index tokens = 0;
  for (const Batch batch : TokenFile::of(std::vector<int>(100, 7)).batches({.size = 2, .length = 8, .steps = 3}))
    for (const int id : batch.tokens) tokens += id == 7;
  CHECK(tokens == 48);
}
