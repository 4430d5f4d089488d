// SPDX-License-Identifier: MIT
// seeds <tests/data> <corpus>: what the fuzz targets start from, made of the files that the tests read: <corpus>/<target>/<number>.
// A mutation of a good file gets past the length in front of a safetensors header and into the keys of a configuration.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <espalier/data/tokenizer/tokenizer.hpp>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/io/safetensors.hpp>
#include <espalier/model/compact_config.hpp>
#include <espalier/model/llama_files.hpp>
#include <espalier/model/plan_file.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace espalier;
using json::Value;

namespace {

// As -max_len: of a longer file libFuzzer would take the beginning, which is no file.
std::size_t longest(const std::string& target) { return target == "json" ? 1024 : 4096; }

std::map<std::string, std::vector<std::string>> seeds;
void add(const std::string& target, std::string bytes) {
  if (!bytes.empty() && bytes.size() <= longest(target)) seeds[target].push_back(std::move(bytes));
}
void add_json(const std::string& text) { add("config", text), add("json", text); }

std::vector<std::string> files_in(const std::string& directory, const std::string& ending) {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    if (entry.path().string().ends_with(ending)) all.push_back(entry.path().string());
  std::sort(all.begin(), all.end());
  return all;
}

std::string of_hex(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) bytes += char(std::stoi(text.substr(i, 2), nullptr, 16));
  return bytes;
}

/// The ids in all that surrounds a vocabulary, by the names of their tokens.
void renumber(Value& value, const std::map<std::string, int>& ids) {
  const auto known = [&](const Value& name) { return name.is_string() && ids.contains(name.as_string()); };
  if (value.is_array()) {
    for (Value& element : value.elements()) renumber(element, ids);
    if (value.size() == 2 && known(value.at(0)) && value.at(1).is_integer()) value.elements()[1] = ids.at(value.at(0).as_string());
  } else if (value.is_object()) {
    for (json::Member& member : value.members()) renumber(member.value, ids);
    if (value.given("content") && known(value.at("content")) && value.given("id")) value.set("id", ids.at(value.text("content")));
    if (value.given("ids") && known(value.at("id"))) value.set("ids", Value(std::vector<int>{ids.at(value.text("id"))}));
  }
}

/// A tokenizer.json with its special tokens, its first merges or words and what these are made of.
Value cut_tokenizer(Value file, std::size_t most) {
  Value model = file.at("model");
  const Value& vocabulary = model.at("vocab");
  std::set<std::string> kept;
  for (const Value& token : file.at("added_tokens").elements()) kept.insert(token.text("content"));
  kept.insert(model.text("unk_token", ""));
  Value merges = Value::array();
  if (const Value* all = model.find("merges")) {
    const std::string prefix = model.text("continuing_subword_prefix", "");
    for (std::size_t i = 0; i < std::min(all->elements().size(), most); ++i) {
      const Value& pair = all->elements()[i];
      const std::string a = pair.at(0).as_string(), b = pair.at(1).as_string();
      kept.insert({a, b, a + (b.starts_with(prefix) ? b.substr(prefix.size()) : b)});
      merges.push_back(pair);
    }
    model.set("merges", merges);
  }
  std::map<std::string, int> ids;
  const auto taken = [&](const std::string& token) {
    const bool room = merges.size() == 0 && ids.size() < 2 * most;
    return (room || kept.contains(token)) && ids.emplace(token, int(ids.size())).second;
  };
  Value few;
  if (vocabulary.is_array()) {
    few = Value::array();
    for (const Value& word : vocabulary.elements())
      if (taken(word.at(0).as_string())) few.push_back(word);
    if (model.given("unk_id")) model.set("unk_id", ids.at(vocabulary.at(model.index("unk_id")).at(0).as_string()));
  } else {
    few = Value::object();
    std::map<Index, std::string> by_id;
    for (const auto& [token, id] : vocabulary.members()) by_id[id.as_index()] = token;
    for (const auto& [id, token] : by_id)
      if (taken(token)) few.set(token, ids.at(token));
  }
  for (const Value& token : file.at("added_tokens").elements()) ids.emplace(token.text("content"), int(ids.size()));
  model.set("vocab", few), file.set("model", model);
  for (const char* part : {"added_tokens", "post_processor"}) renumber(*file.find(part), ids);
  return file;
}

/// Returns whether the tokenizer is still one.
bool add_tokenizer(const std::string& path) {
  for (const std::size_t most : {24u, 8u, 2u}) {
    const std::string text = cut_tokenizer(json::read_file(path), most).dump();
    if (text.size() + 100 > longest("tokenizer")) continue;
    add("config", text);
    add("tokenizer", '\x20' + text + '\xff' + "The the\xc3\xa9 <s> in 12 \xf0\x9f\x99\x82");
    try {
      (void)Tokenizer::parse(text);
      return true;
    } catch (const Error& error) {
      std::printf("%s, cut: %s\n", path.c_str(), error.what());
    }
    return false;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) try {
  require(argc == 3, "seeds <tests/data> <corpus>");
  const std::string data = argv[1], corpus = argv[2];
  for (const std::string& path : files_in(data, ".safetensors")) add("safetensors", io::read_file(path));
  const std::string cases = io::read_file(data + "/safetensors/corpus.jsonl");
  for (std::size_t begin = 0, end; (end = cases.find('\n', begin)) != std::string::npos; begin = end + 1)
    add("safetensors", of_hex(json::parse(cases.substr(begin, end - begin)).text("hex")));

  for (const std::string& path : files_in(data + "/hf", ".json")) add_json(io::read_file(path));
  add_json(io::read_file(data + "/../../models/demo/config.json"));
  for (const char* name : {"llama-gqa", "llama-mha"}) {
    const Value object = json::read_file(data + "/hf/" + name + "/config.json");
    std::vector<LayerWidths> widths;
    const LlamaConfig c = read_stored_config<LlamaConfig>(object, name);
    for (Index layer = 0; layer < c.layers; ++layer) widths.push_back({c.heads, c.groups, c.feed_forward - layer});
    add_json(compact_config(object, widths).dump(2));
  }
  PlanFile plan;
  plan.source = "model", plan.sha256 = std::string(64, 'a'), plan.layout = "compact";
  plan.plan.settings = {{"ratio", "0.5"}, {"criterion", "lora"}};
  plan.plan.groups = {{"heads", 0, 4, {0, 2}, {1, 0.5, 2, 0.25}}, {"channels", 1, 5, {1, 2, 4}, {}}, {"hidden", -1, 8, {0, 1, 2, 3, 7}, {}}};
  add_json(plan.text());
  plan.plan.weights = {{"model.layers.0.self_attn.q_proj", 64, 32}};
  add_json(plan.text());

  int whole = 0;
  const std::vector<std::string> tokenizers = files_in(data, ".ids");
  for (const std::string& ids : tokenizers) whole += add_tokenizer(ids.substr(0, ids.size() - 4) + ".json");
  whole += add_tokenizer(data + "/examples/tokenizer.json");
  const std::string words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nof\n##s\n##ing\na\nb\n##a\n##b\n,\n";
  add("tokenizer", '\x10' + words + '\xff' + "The things of a\xcc\x81" "b, [MASK]");
  for (char known = 0; known < 16; ++known) {
    add("tokenizer", known + std::string("A text, na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87 1234 <s>\n\xf0\x9f\x99\x82 don't"));
    add("tokenizer", known + io::read_file(data + "/examples/text.txt").substr(std::size_t(known) * 200, 200));
  }

  for (const auto& [target, all] : seeds) {
    std::filesystem::create_directories(corpus + "/" + target);
    for (std::size_t i = 0; i < all.size(); ++i) {
      std::string number = std::to_string(i);
      number.insert(0, 4 - number.size(), '0');
      io::write_file_atomically(corpus + "/" + target + "/" + number, std::string_view(all[i]));
    }
    std::printf("%zu seeds for %s\n", all.size(), target.c_str());
  }
  std::printf("%d of %zu tokenizers are read as they were cut\n", whole, tokenizers.size() + 1);
} catch (const std::exception& error) {
  std::fprintf(stderr, "seeds: %s\n", error.what());
  return 1;
}
