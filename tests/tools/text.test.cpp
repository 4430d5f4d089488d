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

TEST_CASE("Documents are packed where they can be told apart, and where not it is said what is missing") {
  const Scratch scratch;
  const std::string model = model_with_tokenizer(scratch, "model");  // whose eos_token_id is 2
  std::string lines;
  for (int i = 0; i < 60; ++i) lines += "{\"input_ids\": [" + repeated("5, ", i % 7) + "6, 7]}\n";
  write(scratch / "x.jsonl", lines);
  const auto train = [&](const std::string& data, const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> line{"train", model, "-d", data, "-o", scratch / out, "--steps", "6", "--batch", "2", "--seq-len", "16"};
    line.insert(line.end(), more.begin(), more.end());
    return run(line);
  };
  const Result packed = train(scratch / "x.jsonl", "packed", {"--packing", "documents", "--save-every", "2"});
  CAPTURE(packed.err);
  REQUIRE(packed.code == 0);
  CHECK(packed.err.find("54 documents packed into 14 sequences, ") != std::string::npos);
  const Result apart = train(scratch / "x.jsonl", "apart", {});
  CHECK(apart.err.find("packed into") == std::string::npos);

  // The same ids in a stream, each document with the token that ends it.
  std::string stream;
  const auto id = [&](int n) { stream += char(n), stream += '\0'; };
  for (int i = 0; i < 60; ++i) {
    for (int k = 0; k < i % 7; ++k) id(5);
    id(6), id(2);
  }
  write(scratch / "x.bin", stream);
  const Result found = train(scratch / "x.bin", "found", {"--packing", "documents"});
  CAPTURE(found.err);
  REQUIRE(found.code == 0);
  CHECK(found.err.find("54 documents packed into 14 sequences, ") != std::string::npos);
  const Result eval = run({"eval", model, "-d", scratch / "x.bin", "--document-end", "2", "--seq-len", "16", "--runs", "1", "--json"});
  REQUIRE(eval.code == 0);
  int inside = 0;
  for (int i = 0; i < 60; ++i) inside += i % 7 + 1;
  CHECK(eval.json().at("tokens") == inside);

  const Result never = train(scratch / "x.bin", "never", {"--packing", "documents", "--document-end", "40"});
  CHECK(never.code == 3);
  CHECK(never.err.find("there is no token 40 among them") != std::string::npos);
  CHECK(never.err.find("--document-end N says which") != std::string::npos);
  write(scratch / "x.txt", repeated("thecatsat", 80));  // token 2 is the blank
  const Result text = train(scratch / "x.txt", "text", {"--packing", "documents"});
  CHECK(text.code == 3);
  CHECK(text.err.find("there is no token 2 among them") != std::string::npos);
  auto config = nlohmann::json::parse(read(model + "/config.json"));
  config.erase("eos_token_id");
  write(model + "/config.json", config.dump());
  const Result unknown = train(scratch / "x.bin", "unknown", {"--packing", "documents"});
  CHECK(unknown.code == 2);
  CHECK(unknown.err.find("config.json has no eos_token_id") != std::string::npos);
}
