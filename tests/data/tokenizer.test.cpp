// SPDX-License-Identifier: MIT
// Ids, texts and pairs of 10,000 lines with every tokenizer of tests/data/tokenizers, against what the library that
// defines the format made of them (tests/data/make_tokenizers.py).
#include <doctest/doctest.h>

#include <algorithm>
#include <espalier/data/tokenizer/tokenizer.hpp>
#include <espalier/io/sha256.hpp>
#include <utility>

#include "data/tokenizer_lines.hpp"

using namespace espalier;

namespace {

const std::string folder = ESPALIER_TEST_DATA "/tokenizers/";
constexpr Index block = 100;

std::vector<int> numbers(const json::Value& array) {
  std::vector<int> out;
  for (const json::Value& x : array.elements()) out.push_back(int(x.as_index()));
  return out;
}

void add(Sha256& hash, const std::vector<int>& ids) {
  const int size = int(ids.size());
  hash.update(std::as_bytes(std::span(&size, 1)));
  hash.update(std::as_bytes(std::span(ids.data(), ids.size())));
}

/// How many blocks of lines were compared.
Index compare_lines(const json::Value& expected, Tokenizer tokenizer, Index most = 100) {
  std::vector<std::string> tokens;
  for (const json::Value& token : expected.at("tokens").elements()) tokens.push_back(token.as_string());
  test::Lines line(json::read_file(folder + "lines.json"), tokens);

  const json::Value::Array& first = expected.at("first").elements();
  for (std::size_t i = 0; i < first.size(); ++i) {
    CAPTURE(i);
    CAPTURE(line(i));
    REQUIRE(tokenizer.encode(line(i)) == numbers(first[i]));
  }
  const Index blocks = std::min(expected.at("ids").size(), most);
  for (Index b = 0; b < blocks; ++b) {
    Sha256 ids, texts, pairs;
    for (auto i = std::uint64_t(b * block); i < std::uint64_t((b + 1) * block); ++i) {
      const std::string text = line(i);
      const std::vector<int> encoded = tokenizer.encode(text);
      add(ids, encoded);
      if (i % 2 == 0) texts.update(tokenizer.decode(encoded, i % 4 == 0)), texts.update(std::string_view("\0", 1));
      if (i % 10 == 0) {
        const Encoding pair = tokenizer.encode_pair(text, line(i + 1), i % 20 == 0);
        add(pairs, pair.ids), add(pairs, pair.types);
      }
    }
    Sha256 any;  // ids in an order that no text has
    for (auto i = std::uint64_t(b * 20); i < std::uint64_t(b * 20 + 20); ++i) {
      test::SplitMix random{7000000 + i};
      std::vector<int> some(1 + random.below(30));
      for (int& id : some) id = int(random.below(std::uint64_t(tokenizer.vocab_size()) + 2));
      any.update(tokenizer.decode(some, i % 2 == 0)), any.update(std::string_view("\0", 1));
    }
    CAPTURE(b);
    CHECK(any.hex().substr(0, 16) == expected.at("any").at(b).as_string());
    CHECK(ids.hex().substr(0, 16) == expected.at("ids").at(b).as_string());
    CHECK(texts.hex().substr(0, 16) == expected.at("texts").at(b).as_string());
    CHECK(pairs.hex().substr(0, 16) == expected.at("pairs").at(b).as_string());
  }
  return blocks;
}
void compare(const std::string& name, Tokenizer tokenizer) {
  CAPTURE(name);
  CHECK(compare_lines(json::read_file(folder + name + ".ids"), std::move(tokenizer)) == 100);
}
void compare(const std::string& name) { compare(name, Tokenizer::from(folder + name + ".json")); }

}  // namespace

TEST_CASE("Byte-level BPE gives the library's ids: GPT-2, RoBERTa, GPT-NeoX, Falcon, CLIP") {
  for (const char* name : {"gpt2", "roberta", "neox", "falcon", "clip"}) compare(name);
}
TEST_CASE("Byte-level BPE behind a pattern gives the library's ids: Llama 3, Qwen2, GPT-4o, DeepSeek") {
  for (const char* name : {"llama3", "qwen2", "gpt4o", "deepseek"}) compare(name);
}
TEST_CASE("SentencePiece's BPE with bytes gives the library's ids: Llama 2 with its normalizer, Mistral with Metaspace") {
  for (const char* name : {"llama2", "mistral"}) compare(name);
}
TEST_CASE("Unigram gives the library's ids: DeBERTa-v3 with a charsmap, T5, ALBERT, and with bytes for what is unknown") {
  for (const char* name : {"deberta_v3", "t5", "albert", "gemma"}) compare(name);
}
TEST_CASE("WordPiece gives the library's ids: BERT uncased and cased; so does BPE with unknown words") {
  for (const char* name : {"bert_uncased", "bert_cased", "words"}) compare(name);
}

TEST_CASE("A vocab.txt gives the library's ids, with and without case: all lines, as the tokenizer.json that it belongs to") {
  compare("bert_uncased", Tokenizer::from(folder + "bert_uncased.vocab.txt"));
  const Tokenizer cased = Tokenizer::from(folder + "bert_cased.json");
  std::string words;
  for (int id = 0; id < cased.vocab_size(); ++id) words += cased.token(id) + "\n";
  compare("bert_cased", Tokenizer::from_vocabulary(words, "vocab.txt", json::Value::object({{"do_lower_case", false}})));
}

TEST_CASE("Older files give the library's ids: a merge is one string, and a model does not say its type") {
  for (const std::string name : {"gpt2", "roberta", "llama2"}) {
    CAPTURE(name);
    json::Value file = json::read_file(folder + name + ".json");
    json::Value& model = *file.find("model");
    model.erase("type");
    for (json::Value& merge : model.find("merges")->elements()) merge = merge.at(Index{0}).as_string() + " " + merge.at(1).as_string();
    CHECK(compare_lines(json::read_file(folder + name + ".ids"), Tokenizer::parse(file.dump()), 5) == 5);
  }
}

TEST_CASE("Special tokens that are looked for in normalized text, behind a prefix, give the library's ids: Llama 2 as first published") {
  json::Value file = json::read_file(folder + "llama2.json");
  for (json::Value& token : file.find("added_tokens")->elements()) token.set("normalized", true);
  const json::Value expected = json::read_file(folder + "llama2.ids");
  CHECK(expected.at("normalized").at("first") != expected.at("first"));
  CHECK(compare_lines(expected.at("normalized"), Tokenizer::parse(file.dump())) == 10);
}

TEST_CASE("Text that is not UTF-8 is read as Python's errors=replace reads it") {
  const auto replaced = [](std::string_view bytes) { return utf8::replace_invalid(bytes); };
  const std::string r = "\xef\xbf\xbd";
  CHECK(replaced("a\xff"
                 "b") == "a" + r + "b");
  CHECK(replaced("\xe2\x82") == r);              // a beginning is one
  CHECK(replaced("\xe2\x82(") == r + "(");
  CHECK(replaced("\xf0\x9f\x98") == r);
  CHECK(replaced("\xf0\x80\x80\x80") == r + r + r + r);  // overlong: its bytes can begin nothing
  CHECK(replaced("\xed\xa0\x80") == r + r + r);          // half a surrogate pair
  CHECK(replaced("\xf4\x90\x80\x80") == r + r + r + r);  // beyond U+10FFFF
  CHECK(replaced("\xc3\xc3\xa9") == r + "\xc3\xa9");
  Tokenizer tokenizer = Tokenizer::from(folder + "llama3.json");
  CHECK(tokenizer.encode("x\xe2\x82y") == tokenizer.encode("x" + r + "y"));
}

TEST_CASE("Tokens have ids and ids have tokens") {
  const Tokenizer tokenizer = Tokenizer::from(folder + "llama3.json");
  CHECK(tokenizer.vocab_size() == 603);
  CHECK(tokenizer.id("<|begin_of_text|>") == 600);
  CHECK(tokenizer.token(600) == "<|begin_of_text|>");
  CHECK(tokenizer.is_special(600));
  CHECK_FALSE(tokenizer.is_special(0));
  CHECK(tokenizer.id("there is no such token") == -1);
  CHECK_THROWS_AS((void)tokenizer.token(603), Error);
  CHECK_THROWS_AS((void)tokenizer.token(-1), Error);
  CHECK(tokenizer.decode({-5, 600, 100000}, false) == "<|begin_of_text|>");  // ids of no token are left out
}
