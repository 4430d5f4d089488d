// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/data/token_list.hpp>

using namespace espalier;

namespace {
std::string refusal(const Tokens& tokens, Index vocabulary, Errc code) {
  try {
    tokens.check(vocabulary);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "";
}
Tokens documents() {
  Tokens t;
  t.source = "train.jsonl", t.ids = {1, 2, 3, 4, 5}, t.labels = {-100, 2, 3, 4, 5}, t.ends = {2, 5};
  return t;
}
}  // namespace

TEST_CASE("An id outside the vocabulary is refused with file, place and id") {
  Tokens t;
  t.source = "train.bin", t.ids = {0, 31999, 32000};
  t.check(32001);
  CHECK(refusal(t, 32000, Errc::bad_input) ==
        "train.bin: id 32000 at position 2 is outside the model's vocabulary of 32000: was it made with another "
        "tokenizer?");
  t.ids = {0, -1};
  CHECK(refusal(t, 32000, Errc::bad_input).find("id -1 at position 1") != std::string::npos);
}

TEST_CASE("In documents the place is that in the document; ignored labels are fine") {
  Tokens t = documents();
  t.check(6);
  CHECK(refusal(t, 5, Errc::bad_input).find("train.jsonl: id 5 at document 1, position 2") != std::string::npos);
  t.labels[1] = 9;
  CHECK(refusal(t, 6, Errc::bad_input).find("label 9 at document 0, position 1") != std::string::npos);
  t.labels[1] = -1;
  CHECK(refusal(t, 6, Errc::bad_input).find("label -1") != std::string::npos);
}

TEST_CASE("Bytes are for models of bytes only") {
  Tokens t;
  t.source = "book.txt", t.ids = {65}, t.bytes = true;
  t.check(256), t.check(259);
  CHECK(refusal(t, 32000, Errc::unsupported).find("tokenizer") != std::string::npos);
  CHECK(refusal(t, 128, Errc::unsupported).find("book.txt") != std::string::npos);
}

TEST_CASE("A part keeps labels and documents") {
  const Tokens last = documents().part(1, 2);
  CHECK(last.ids == std::vector<int>{3, 4, 5});
  CHECK(last.labels == std::vector<int>{3, 4, 5});
  CHECK(last.ends == std::vector<Index>{3});
}

TEST_CASE("The hash tells texts, labels and documents apart") {
  const Tokens a = documents();
  Tokens b = a, c = a, d = a;
  b.ids[4] = 6, c.labels.clear(), d.ends = {3, 5};
  CHECK(a.hash() == documents().hash());
  CHECK(a.hash() != b.hash());
  CHECK(a.hash() != c.hash());
  CHECK(a.hash() != d.hash());
}
