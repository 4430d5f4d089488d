// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

/// A copy of the small checkpoint (48 tokens) with a tokenizer of letters, a blank and a beginning of sequence.
std::string model_with_tokenizer(const Scratch& scratch, const std::string& name) {
  const std::string directory = scratch / name;
  fs::copy(checkpoint(), directory, fs::copy_options::recursive);
  nlohmann::json vocabulary = {{"<s>", 0}, {"<unk>", 1}, {"\u2581", 2}, {"th", 29}, {"the", 30}};
  for (char c = 'a'; c <= 'z'; ++c) vocabulary[std::string(1, c)] = 3 + c - 'a';
  const nlohmann::json file = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens",
       {{{"id", 0}, {"content", "<s>"}, {"single_word", false}, {"lstrip", false}, {"rstrip", false}, {"normalized", false}, {"special", true}}}},
      {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}},
      {"pre_tokenizer", nullptr},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
        {"pair", {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
        {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {0}}, {"tokens", {"<s>"}}}}}}}},
      {"decoder", nullptr},
      {"model",
       {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", "<unk>"}, {"fuse_unk", true}, {"byte_fallback", false}, {"vocab", vocabulary},
        {"merges", {"t h", "th e"}}}}};
  write(directory + "/tokenizer.json", file.dump());
  return directory;
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

}  // namespace

TEST_CASE("Text goes through the tokenizer in the model's directory, a document at a time") {
  const Scratch scratch;
  const std::string model = model_with_tokenizer(scratch, "model");
  write(scratch / "x.txt", repeated("the cat ", 40));
  const Result text = run({"eval", model, "-d", scratch / "x.txt", "--seq-len", "16", "--runs", "1", "--json"});
  CAPTURE(text.err);
  REQUIRE(text.code == 0);
  CHECK(text.json().at("tokens") == 40 * 6);  // <s>, and six for each "the cat "; the first one is not predicted

  write(scratch / "x.jsonl", repeated("{\"text\": \"the cat sat\"}\n", 20));
  const Result lines = run({"eval", model, "-d", scratch / "x.jsonl", "--seq-len", "16", "--runs", "1", "--json"});
  CAPTURE(lines.err);
  REQUIRE(lines.code == 0);
  CHECK(lines.json().at("tokens") == 20 * 9);  // each line begins with <s> of its own

  write(scratch / "ids.jsonl", repeated("{\"input_ids\": [1, 2, 3, 4, 5]}\n", 20));
  const Result ids = run({"eval", model, "-d", scratch / "ids.jsonl", "--seq-len", "16", "--runs", "1", "--json"});
  CHECK(ids.json().at("tokens") == 20 * 4);  // token ids are not tokenized

  const Result info = run({"info", model});
  CHECK(info.out.find("text goes through tokenizer.json") != std::string::npos);
}

TEST_CASE("Fine-tuning on text, and the tokenizer comes along with a pruned model") {
  const Scratch scratch;
  const std::string model = model_with_tokenizer(scratch, "model");
  write(scratch / "x.txt", repeated("the cat sat on the mat ", 60));
  const Result r = run({"prune", model, "-d", scratch / "x.txt", "-o", scratch / "out", "--steps", "6", "--batch", "2", "--seq-len", "16", "--sparsity", "0.3", "--quiet"});
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  CHECK(read(scratch / "out/tokenizer.json") == read(model + "/tokenizer.json"));
}

TEST_CASE("What the tokenizer asks for and is not computed is refused by name; so is text without a tokenizer") {
  const Scratch scratch;
  write(scratch / "x.txt", repeated("the cat ", 40));
  const Result without = run({"eval", checkpoint(), "-d", scratch / "x.txt"});
  CHECK(without.code == 3);
  CHECK(without.says("put tokenizer.json beside"));

  const std::string model = model_with_tokenizer(scratch, "model");
  std::string file = read(model + "/tokenizer.json");
  file.replace(file.find("\"Replace\""), 9, "\"Jabberwock\"");
  write(model + "/tokenizer.json", file);
  const Result unknown = run({"eval", model, "-d", scratch / "x.txt"});
  CHECK(unknown.code == 3);
  CHECK(unknown.says("Jabberwock"));
  CHECK(unknown.says("tokenizer.json"));
}
