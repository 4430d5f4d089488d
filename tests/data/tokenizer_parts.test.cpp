// SPDX-License-Identifier: MIT
// Every known pattern, and every part that looks at characters over all of Unicode, against the library that defines
// the format (tests/data/make_tokenizers.py).
#include <doctest/doctest.h>

#include <espalier/data/tokenizer/pre_tokenizer.hpp>
#include <espalier/io/sha256.hpp>

#include "data/tokenizer_lines.hpp"

using namespace espalier;

namespace {

const std::string folder = ESPALIER_TEST_DATA "/tokenizers/";

std::vector<std::string> cut(const text::PreTokenizer& pre_tokenizer, const std::string& text) {
  text::Pieces pieces;
  pieces.text = text;
  if (!text.empty()) pieces.all = {{0, text.size()}};
  pre_tokenizer(pieces);
  std::vector<std::string> out;
  for (const auto& piece : pieces.all) out.emplace_back(pieces[piece]);
  return out;
}

}  // namespace

TEST_CASE("Known regular expressions cut 2,000 lines as the library's engine does") {
  test::Lines line(json::read_file(folder + "lines.json"));
  const json::Value patterns = json::read_file(folder + "patterns.json");
  CHECK(patterns.size() == 22);
  for (const json::Member& pattern : patterns.members()) {
    CAPTURE(pattern.key);
    const json::Value part = json::Value::object({{"type", "Split"},
                                                  {"pattern", json::Value::object({{"Regex", pattern.value.text("regex")}})},
                                                  {"behavior", "Isolated"},
                                                  {"invert", false}});
    const text::PreTokenizer split(part);
    const json::Value& cuts = pattern.value.at("cuts");
    for (Index b = 0; b < cuts.size(); ++b) {
      Sha256 hash;
      for (auto i = std::uint64_t(b * 100); i < std::uint64_t(b * 100 + 100); ++i) {
        std::vector<int> ends{0};
        for (const std::string& piece : cut(split, utf8::replace_invalid(line(i)))) ends.push_back(int(piece.size()) + (ends.size() > 1 ? ends.back() : 0));
        ends[0] = int(ends.size()) - 1;
        hash.update(std::as_bytes(std::span(ends.data(), ends.size())));
      }
      CAPTURE(b);
      CHECK(hash.hex().substr(0, 16) == cuts.at(b).as_string());
    }
  }
}

TEST_CASE("Every part does with every character of Unicode what the library's does") {
  const json::Value parts = json::read_file(folder + "characters.json");
  CHECK(parts.size() == 17);
  for (const json::Member& member : parts.members()) {
    CAPTURE(member.key);
    const json::Value& part = member.value.at("part");
    const std::string type = part.text("type");
    const bool cuts = type == "Whitespace" || type == "WhitespaceSplit" || type == "Digits" || type == "Punctuation" ||
                      type == "ByteLevel" || type == "BertPreTokenizer";
    const text::PreTokenizer pre_tokenizer = cuts ? text::PreTokenizer(part) : text::PreTokenizer();
    const text::Normalizer normalizer = cuts ? text::Normalizer() : text::Normalizer(part);
    Sha256 hash;
    std::string all;
    for (char32_t c = 0; c < 0x110000; ++c) {
      if (c >= 0xd800 && c <= 0xdfff) continue;
      std::string text = type == "Strip" ? "" : "a";
      utf8::append(text, c);
      if (type != "Strip") text += 'b';
      if (c != 0) all += '\n';
      if (cuts) {
        const std::vector<std::string> pieces = cut(pre_tokenizer, text);
        for (std::size_t i = 0; i < pieces.size(); ++i) all += (i > 0 ? "|" : "") + pieces[i];
      } else {
        all += normalizer(text).text;
      }
      if (all.size() > 100000) hash.update(all), all.clear();
    }
    hash.update(all);
    CHECK(hash.hex().substr(0, 16) == member.value.text("hash"));
  }
}

TEST_CASE("Ages: what the parts see differs from Unicode 16 in so many characters") {
  const auto count = [](auto&& differs) {
    int n = 0;
    for (char32_t c = 0; c < 0x110000; ++c) n += (c < 0xd800 || c > 0xdfff) && differs(c);
    return n;
  };
  using namespace unicode;
  CHECK(count([](char32_t c) { return is_numeric(c) != is(unicode::numbers, c); }) == 13);
  CHECK(count([](char32_t c) { return is_punctuation(c) != (is(unicode::punctuation, c) || is_ascii_punctuation(c)); }) == 142);
  CHECK(count([](char32_t c) { return is_combining_mark(c) != is(marks, c); }) == 408);
  CHECK(count([](char32_t c) { return is(letters, c); }) == 141028);
}

TEST_CASE("Matches and what lies between are joined as the library joins them") {
  const auto cut_at_minus = [](const char* behavior) {
    return cut(text::PreTokenizer(json::Value::object({{"type", "Split"}, {"pattern", json::Value::object({{"String", "-"}})},
                                                       {"behavior", behavior}, {"invert", false}})),
               "the-final--countdown");
  };
  using Words = std::vector<std::string>;
  CHECK(cut_at_minus("Removed") == Words{"the", "final", "countdown"});
  CHECK(cut_at_minus("Isolated") == Words{"the", "-", "final", "-", "-", "countdown"});
  CHECK(cut_at_minus("MergedWithPrevious") == Words{"the-", "final-", "-", "countdown"});
  CHECK(cut_at_minus("MergedWithNext") == Words{"the", "-final", "-", "-countdown"});
  CHECK(cut_at_minus("Contiguous") == Words{"the", "-", "final", "--", "countdown"});
}

TEST_CASE("Grapheme clusters: emoji, flags, Hangul, conjuncts and line ends stay together") {
  const auto lengths = [](std::string_view text) {
    std::vector<std::size_t> out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = unicode::cluster_end(text, at);
      out.push_back(utf8::characters(text.substr(at, end - at)).size());
      at = end;
    }
    return out;
  };
  using Lengths = std::vector<std::size_t>;
  CHECK(lengths("a\r\nb\n\r") == Lengths{1, 2, 1, 1, 1});
  CHECK(lengths("e\u0301\u0301x") == Lengths{3, 1});
  CHECK(lengths("\U0001F469\u200D\U0001F469\u200D\U0001F467\U0001F44D\U0001F3FD") == Lengths{5, 2});
  CHECK(lengths("\U0001F1E9\U0001F1EA\U0001F1EB\U0001F1F7\U0001F1E9") == Lengths{2, 2, 1});
  CHECK(lengths("\u1100\u1161\u11A8\uAC00\u11A8\uAC01\u11A8\u1161") == Lengths{3, 2, 2, 1});
  CHECK(lengths("\u0915\u094D\u0937\u0915") == Lengths{3, 1});
  CHECK(lengths("\u0600\u0661\u200D\u0041") == Lengths{3, 1});
}
