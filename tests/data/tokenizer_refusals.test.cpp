// SPDX-License-Identifier: MIT
// What a tokenizer.json may not say, and that no text takes longer than its length allows.
#include <doctest/doctest.h>

#include <chrono>
#include <espalier/data/tokenizer/tokenizer.hpp>
#include <functional>

using namespace espalier;

namespace {

using json::Value;
const std::string folder = ESPALIER_TEST_DATA "/tokenizers/";

Value file_of(const std::string& name) { return json::read_file(folder + name + ".json"); }
Tokenizer read(const Value& file) { return Tokenizer::parse(file.dump()); }

/// The message that the change brings about, with its code in front.
std::string refused(const std::string& name, const std::function<void(Value&)>& change) {
  Value file = file_of(name);
  change(file);
  try {
    (void)read(file);
  } catch (const Error& error) {
    return (error.code() == Errc::unsupported ? "unsupported: " : error.code() == Errc::bad_input ? "bad input: " : "?: ") +
           std::string(error.what());
  }
  return "was read";
}
bool says(const std::string& message, std::initializer_list<std::string_view> parts) {
  INFO(message);
  bool all = true;
  for (const std::string_view part : parts) {
    CAPTURE(part);
    CHECK(message.find(part) != std::string::npos);
    all = all && message.find(part) != std::string::npos;
  }
  return all;
}
void set_type(Value& file, const char* part, const char* type) { file.set(part, Value::object({{"type", type}})); }

Value bpe(std::vector<std::string> tokens, std::vector<std::string> merges) {
  Value vocabulary = Value::object();
  for (std::size_t i = 0; i < tokens.size(); ++i) vocabulary.set(tokens[i], Index(i));
  return Value::object({{"version", "1.0"},
                        {"model", Value::object({{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Value(merges)}})}});
}

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

TEST_CASE("Parts that are not computed are refused by name, with what to do") {
  for (const auto& [part, type] : {std::pair{"normalizer", "Casefold"}, std::pair{"pre_tokenizer", "UnicodeScripts"},
                                   std::pair{"pre_tokenizer", "CharDelimiterSplit"}, std::pair{"post_processor", "Custom"},
                                   std::pair{"decoder", "CTC"}, std::pair{"model", "WordLevel"}}) {
    const std::string message = refused("gpt2", [&, p = part, t = type](Value& f) { set_type(f, p, t); });
    says(message, {"unsupported", part, type, "Hint"});
  }
  says(refused("llama3", [](Value& f) {
         f.at("pre_tokenizer");
         f.find("pre_tokenizer")->find("pretokenizers")->elements()[0].find("pattern")->set("Regex", "(?<name>x)");
       }),
       {"unsupported", "Split", "(?<name>x)", "known here"});
  says(refused("gpt2", [](Value& f) { f.find("model")->set("dropout", 0.1); }), {"unsupported", "dropout", "0.1"});
  CHECK(refused("gpt2", [](Value& f) { f.find("model")->set("dropout", 0.0); }) == "was read");
  says(refused("gpt2", [](Value& f) { f.find("model")->set("temperature", 1); }), {"unsupported", "temperature"});
  says(refused("gpt2", [](Value& f) { f.set("version", "2.0"); }), {"unsupported", "2.0"});
  says(refused("gpt2", [](Value& f) { f.set("speed", 1); }), {"unsupported", "speed"});
}

TEST_CASE("Truncation and padding are settings of a batch and change nothing here") {
  Tokenizer plain = read(file_of("gpt2"));
  Value file = file_of("gpt2");
  file.set("truncation", Value::object({{"max_length", 2}, {"strategy", "LongestFirst"}}));
  file.set("padding", Value::object({{"strategy", "BatchLongest"}}));
  CHECK(read(file).encode("a text of some length") == plain.encode("a text of some length"));
}

TEST_CASE("Files that contradict themselves are bad input") {
  says(refused("gpt2", [](Value& f) { f.find("model")->find("merges")->push_back("x nosuchtoken"); }), {"bad input", "nosuchtoken", "merge"});
  says(refused("gpt2", [](Value& f) { f.find("model")->find("merges")->push_back("a b c"); }), {"bad input", "a b c"});
  says(refused("gpt2", [](Value& f) { f.find("model")->find("vocab")->set("twice", 5); }), {"bad input", "twice", "same id 5"});
  says(refused("gpt2", [](Value& f) { f.find("model")->find("vocab")->set("far", 2000000000); }), {"bad input", "gaps"});
  says(refused("gpt2", [](Value& f) { f.find("model")->find("vocab")->set("below", -1); }), {"bad input", "-1"});
  says(refused("llama3", [](Value& f) { f.find("added_tokens")->elements()[0].set("id", 7); }), {"bad input", "<|begin_of_text|>", "7", "600"});
  says(refused("llama3", [](Value& f) { f.find("post_processor")->find("processors")->elements()[1].find("single")->elements()[0].find("SpecialToken")->set("id", "<nobody>"); }),
       {"bad input", "<nobody>"});
  says(refused("llama3", [](Value& f) { f.find("post_processor")->find("processors")->elements()[1].find("pair")->elements().pop_back(); }), {"bad input", "pair"});
  says(refused("deberta_v3", [](Value& f) { f.find("model")->set("unk_id", 100000); }), {"bad input", "unk_id", "100000"});
  const auto charsmap = [](const char* text) {
    return refused("deberta_v3", [&](Value& f) { f.find("normalizer")->find("normalizers")->elements()[1].set("precompiled_charsmap", text); });
  };
  says(charsmap("not base64!"), {"bad input", "base64"});
  says(charsmap("AAAA"), {"bad input", "precompiled_charsmap"});
  says(charsmap("/////wAAAAA="), {"bad input", "precompiled_charsmap"});
  says(refused("bert_cased", [](Value& f) { f.find("model")->set("max_input_chars_per_word", 1000000); }), {"unsupported", "1000000"});
  says(refused("gpt2", [](Value& f) { f.find("added_tokens")->elements()[0].set("id", 600), f.find("added_tokens")->elements()[0].set("content", std::string(5000, 'x')); }), {"unsupported", "5000"});
  CHECK_THROWS_AS(Tokenizer::parse("{"), Error);
  CHECK_THROWS_AS(Tokenizer::parse("[]"), Error);
  CHECK_THROWS_AS(Tokenizer::parse("{\"model\": 1}"), Error);
  CHECK_THROWS_AS(Tokenizer::from(folder), Error);  // neither tokenizer.json nor vocab.txt
  CHECK_THROWS_AS(Tokenizer::from_vocabulary("a\nb\n"), Error);  // no [CLS]
  CHECK_THROWS_AS(Tokenizer::from_vocabulary("[CLS]\n[SEP]\n", "vocab.txt", Value::object({{"tokenizer_class", "BertweetTokenizer"}})), Error);
}

TEST_CASE("An unknown character is left out, written as unknown, or refused, as the file has it") {
  Value file = bpe({"a", "b", "ab", "?"}, {"a b"});
  CHECK(read(file).encode("axb") == std::vector<int>{2});  // without a token for the unknown: as if it were not there
  file.find("model")->set("unk_token", "?");
  CHECK(read(file).encode("axyb") == std::vector<int>{0, 3, 3, 1});
  file.find("model")->set("fuse_unk", true);
  CHECK(read(file).encode("axyb") == std::vector<int>{0, 3, 1});
  file.find("model")->set("unk_token", "nowhere");
  Tokenizer tokenizer = read(file);
  CHECK(tokenizer.encode("ab") == std::vector<int>{2});
  CHECK_THROWS_AS(tokenizer.encode("x"), Error);
}

TEST_CASE("Both spellings of merges are the same; of two rules for a pair the later one counts") {
  Value old = bpe({"a", "b", "c", "ab", "bc"}, {"a b", "b c"}), young = old;
  Value pairs = Value::array();
  pairs.push_back(Value(std::vector<std::string>{"a", "b"})), pairs.push_back(Value(std::vector<std::string>{"b", "c"}));
  young.find("model")->set("merges", pairs);
  CHECK(read(old).encode("abc") == std::vector<int>{3, 2});
  CHECK(read(young).encode("abc") == std::vector<int>{3, 2});
  CHECK(read(bpe({"a", "b", "c", "ab", "bc"}, {"a b", "b c", "a b"})).encode("abc") == std::vector<int>{0, 4});
}

TEST_CASE("A text is cut at spaces only where no token reaches over one") {
  Value file = bpe({"a", "b", "\u2581", "a\u2581", "\u2581b"}, {"a \u2581", "\u2581 b"});
  CHECK(read(file).encode("a\u2581b") == std::vector<int>{3, 1});
  file = bpe({"a", "b", "\u2581", "\u2581b"}, {"\u2581 b"});
  CHECK(read(file).encode("a\u2581b\u2581\u2581b") == std::vector<int>{0, 3, 2, 3});
}

TEST_CASE("No text takes longer than its length allows") {
  // A quadratic way would take minutes with these.
  const std::string run(1 << 20, 'a');
  std::vector<std::string> tokens{"a"}, merges;
  for (std::string t = "a"; t.size() < 512; t += t) tokens.push_back(t + t), merges.push_back(t + " " + t);
  Tokenizer doubling = read(bpe(tokens, merges));
  std::vector<int> ids;
  CHECK(seconds([&] { ids = doubling.encode(run); }) < 20);
  CHECK(ids == std::vector<int>(2048, 9));

  for (const char* name : {"gpt2", "llama3", "gpt4o", "clip", "llama2", "mistral", "deberta_v3", "gemma", "t5", "bert_uncased", "words", "deepseek"}) {
    CAPTURE(name);
    Tokenizer tokenizer = Tokenizer::from(folder + name + ".json");
    for (const std::string unit : {"a", " ", "\n", "A", "\xcc\x81", "\xe2\x96\x81", "\xff", "1", "'", "\xe4\xb8\x80", " \n", "\xe0\xa4\x95\xe0\xa5\x8d"}) {
      CAPTURE(unit);
      std::string text;
      while (text.size() < 200000) text += unit;
      CHECK(seconds([&] { (void)tokenizer.encode(text); }) < 10);
      CHECK(seconds([&] { (void)tokenizer.encode(text + "x"); }) < 10);
    }
  }
}

TEST_CASE("Empty texts") {
  for (const char* name : {"gpt2", "llama2", "mistral", "t5", "bert_cased", "words", "albert"}) {
    CAPTURE(name);
    Tokenizer tokenizer = Tokenizer::from(folder + name + ".json");
    CHECK(tokenizer.encode("", false).empty());
    CHECK(tokenizer.encode_pair("", "", false).ids.empty());
    CHECK(tokenizer.decode({}) == "");
  }
  CHECK(Tokenizer::from(folder + "bert_cased.json").encode("") == std::vector<int>{2, 3});
}
