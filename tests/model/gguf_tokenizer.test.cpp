// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/io/json_file.hpp>
#include <espalier/io/sha256.hpp>
#include <espalier/model/gguf_tokenizer.hpp>
#include <filesystem>

#include "temporary_directory.hpp"

namespace esp = espalier;
namespace json = esp::json;
using esp::test::slurp, esp::test::spill, esp::test::TemporaryDirectory;
using json::Value;

namespace {

const std::string data = ESPALIER_TEST_DATA;

/// A model's directory with a tokenizer in it.
struct Source : esp::ModelSource {
  explicit Source(const TemporaryDirectory& folder) {
    directory = folder.path().string();
    config = Value::object();
  }
};

esp::GgufMetadata described(const esp::ModelSource& source, esp::Index vocab, std::vector<std::string>& notes) {
  esp::GgufMetadata about;
  about.set("general.architecture", "llama");
  esp::describe_gguf_tokenizer(about, source, vocab, notes);
  return about;
}

std::string sum_of(const esp::GgufMetadata& about) {
  return esp::Sha256().update(esp::lay_out_gguf(about, {}).header).hex();
}

}  // namespace

TEST_CASE("vocabularies are written as the reference writer writes them") {
  const auto sums = json::read_file(data + "/gguf/files.json");
  for (const char* name : {"gpt2", "llama2", "llama3", "mistral", "qwen2"}) {
    CAPTURE(name);
    const TemporaryDirectory folder;
    const std::string file = data + "/tokenizers/" + name + ".json";
    std::filesystem::copy_file(file, folder / "tokenizer.json");
    const auto root = json::read_file(file);
    esp::Index vocab = 0;
    for (const auto& [token, id] : root.at("model").at("vocab").members()) vocab = std::max(vocab, id.as_index());
    for (const auto& added : root.at("added_tokens").elements()) vocab = std::max(vocab, added.index("id"));
    std::vector<std::string> notes;
    CHECK(sum_of(described(Source(folder), vocab + 4, notes)) == sums.text(std::string("tokenizer/") + name));
    const std::string_view n = name;  // NFC, and spaces in front: what llama.cpp does in another way is said
    CHECK(notes.size() == (n == "qwen2" || n == "mistral" ? 1u : 0u));
    CHECK_THROWS_WITH_AS(described(Source(folder), vocab, notes), doctest::Contains("and the model has a vocabulary of"), esp::Error);
  }
  std::vector<std::string> notes;
  CHECK(sum_of(described({}, 256, notes)) == sums.text("tokenizer/bytes"));
  CHECK(notes.empty());
  CHECK(sum_of(described({}, 48, notes)) != sums.text("tokenizer/bytes"));
  CHECK(notes.size() == 1);
}

TEST_CASE("special tokens and the chat template come from the files beside it") {
  const TemporaryDirectory folder;
  std::filesystem::copy_file(data + "/tokenizers/qwen2.json", folder / "tokenizer.json");
  Source source(folder);
  source.config.set("bos_token_id", 600), source.config.set("eos_token_id", Value(std::vector<int>{601, 602}));
  std::vector<std::string> notes;
  const auto has = [&](const std::string& key, std::uint32_t id) {
    const std::string bytes = described(source, 700, notes).bytes();
    const std::size_t at = bytes.find("tokenizer.ggml." + key + "_token_id");
    REQUIRE(at != std::string::npos);
    std::uint32_t found = 0;
    std::memcpy(&found, bytes.data() + at + 24 + key.size() + 4, 4);
    CHECK(found == id);
  };
  has("bos", 600), has("eos", 601);
  spill(folder / "tokenizer_config.json", R"({"eos_token": {"content": "<|im_end|>"}, "pad_token": "<|endoftext|>", "chat_template": "{{ one }}"})");
  has("bos", 600), has("eos", 602), has("padding", 600);
  CHECK(described(source, 700, notes).bytes().find("{{ one }}") != std::string::npos);
  spill(folder / "chat_template.jinja", "{{ two }}");
  CHECK(described(source, 700, notes).bytes().find("{{ two }}") != std::string::npos);
}

TEST_CASE("a tokenizer that would cut texts in another way is refused by name; so is a broken one") {
  const auto refused = [](const char* name, const std::string& words, auto&& change) {
    CAPTURE(words);
    const TemporaryDirectory folder;
    Value root = json::read_file(data + "/tokenizers/" + name + ".json");
    change(root);
    json::write_file(folder / "tokenizer.json", root);
    std::vector<std::string> notes;
    CHECK_THROWS_WITH_AS(described(Source(folder), 2000, notes), doctest::Contains(words.c_str()), esp::Error);
  };
  const auto as_it_is = [](Value&) {};
  refused("gemma", "type 'Unigram'", as_it_is);
  refused("falcon", "is none that llama.cpp has a name for", as_it_is);
  refused("gpt4o", "is none that llama.cpp has a name for", as_it_is);
  refused("roberta", "RobertaProcessing", [](Value& r) { r.find("pre_tokenizer")->set("add_prefix_space", false); });
  refused("gpt2", "normalizer", [](Value& r) { r.set("normalizer", Value::object({{"type", "Lowercase"}})); });
  refused("gpt2", "pre-tokenizer", [](Value& r) { r.find("pre_tokenizer")->set("add_prefix_space", true); });
  refused("gpt2", "pre-tokenizer", [](Value& r) { r.erase("pre_tokenizer"); });
  refused("llama2", "pre-tokenizer", [](Value& r) { r.set("pre_tokenizer", Value::object({{"type", "Whitespace"}})); });
  refused("llama2", "normalizer", [](Value& r) { r.find("normalizer")->find("normalizers")->elements().pop_back(), r.find("normalizer")->find("normalizers")->push_back("x"); });
  refused("llama2", "model.dropout", [](Value& r) { r.find("model")->set("dropout", 0.1); });
  refused("llama2", "unk_token", [](Value& r) { r.find("model")->set("unk_token", "<what>"); });
  refused("llama2", "model.vocab", [](Value& r) { r.find("model")->erase("vocab"); });
  refused("llama2", "model.merges", [](Value& r) { r.find("model")->set("merges", 3); });
  refused("llama2", "expected two tokens", [](Value& r) { r.find("model")->find("merges")->push_back("no such"); });
  refused("llama2", "has id", [](Value& r) { r.find("model")->find("vocab")->set("new", 2000); });
  refused("llama2", "has id", [](Value& r) { r.find("model")->find("vocab")->set("new", -1); });
  refused("llama2", "stands for", [](Value& r) { r.find("model")->find("vocab")->set("new", 5); });
  refused("llama2", "has the id", [](Value& r) { r.find("model")->find("vocab")->set("new", 0.5); });
  const TemporaryDirectory folder;
  spill(folder / "tokenizer.model", "");
  std::vector<std::string> notes;
  CHECK_THROWS_WITH_AS(described(Source(folder), 2000, notes), doctest::Contains("tokenizer.model"), esp::Error);
}
