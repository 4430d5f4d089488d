// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/data/text.hpp>
#include <string>

#include "support/temporary_directory.hpp"

using namespace espalier;

TEST_CASE("A text is its bytes, zero and 255 included") {
  const test::TemporaryDirectory folder;
  test::spill(folder / "x.txt", std::string("a\0\xff\n", 4));
  const Tokens t = read_text_tokens(folder / "x.txt");
  CHECK(t.ids == std::vector<int>{97, 0, 255, 10});
  CHECK(t.bytes);
  CHECK(t.ends.empty());
  CHECK(t.source == folder / "x.txt");
}
