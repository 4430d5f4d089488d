// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/data/jsonl.hpp>
#include <string>

#include "support/temporary_directory.hpp"

using namespace espalier;

namespace {
Tokens read(const std::string& content) {
  const test::TemporaryDirectory folder;
  test::spill(folder / "x.jsonl", content);
  return read_jsonl_tokens(folder / "x.jsonl");
}
std::string refusal(const std::string& content) {
  try {
    read(content);
  } catch (const Error& error) {
    CHECK((error.code() == Errc::bad_input || error.code() == Errc::unsupported));
    return error.what();
  }
  return "nothing was refused";
}
bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE("A line is a document; empty lines and Windows line ends are no matter") {
  const Tokens t = read("{\"input_ids\": [1, 2, 3]}\r\n\n{\"id\": \"b\", \"input_ids\": [4]}\n{\"input_ids\": []}");
  CHECK(t.ids == std::vector<int>{1, 2, 3, 4});
  CHECK(t.ends == std::vector<Index>{3, 4, 4});
  CHECK(t.labels.empty());
  CHECK_FALSE(t.bytes);
}

TEST_CASE("Labels stand beside ids; documents without any are learnt whole, before and after") {
  const Tokens t =
      read("{\"input_ids\": [1, 2]}\n{\"input_ids\": [3, 4], \"labels\": [-100, 9]}\n{\"input_ids\": [5]}\n");
  CHECK(t.labels == std::vector<int>{1, 2, -100, 9, 5});
}

TEST_CASE("Texts are bytes") {
  const Tokens t = read("{\"text\": \"ab\\n\"}\n{\"text\": \"\\u00e9\"}\n");
  CHECK(t.ids == std::vector<int>{97, 98, 10, 0xc3, 0xa9});
  CHECK(t.ends == std::vector<Index>{3, 5});
  CHECK(t.bytes);
}

TEST_CASE("What would be learnt wrongly is refused with its line") {
  CHECK(holds(refusal("{\"input_ids\": [1]}\n{\"messages\": []}\n"), "x.jsonl:2: expected \"input_ids\""));
  CHECK(holds(refusal("{\"input_ids\": [1, 2], \"labels\": [1]}"), "1 labels for 2 input_ids"));
  CHECK(holds(refusal("{\"input_ids\": [-100]}"), "no token id"));
  CHECK(holds(refusal("{\"input_ids\": [1], \"labels\": [-1]}"), "no token id"));
  CHECK(holds(refusal("{\"input_ids\": [3000000000]}"), "no token id"));
  CHECK(holds(refusal("{\"input_ids\": [1.5]}"), "expected an integer"));
  CHECK(holds(refusal("{\"input_ids\": [1, 2], \"attention_mask\": [1, 0]}"), "hides tokens"));
  CHECK(holds(refusal("[1, 2]"), "expected an object"));
  CHECK(holds(refusal("{\"input_ids\": [1]} {\"input_ids\": [1]}"), "x.jsonl:1"));
  CHECK(holds(refusal("{\"input_ids\": [1]}\n{\"text\": \"a\"}\n"), "1 of 2 lines are text"));
  CHECK(read("{\"input_ids\": [1, 2], \"attention_mask\": [1, 1]}").ids.size() == 2);
}
