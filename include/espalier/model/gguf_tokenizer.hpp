// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/io/gguf.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/model/config_reader.hpp>
#include <espalier/model/gguf_cutting.hpp>
#include <espalier/model/source.hpp>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::inline v0 {

/// What llama.cpp takes a token for.
enum class GgufToken : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// tokenizer.json in the words of llama.cpp: byte-level BPE (`gpt2`), or BPE over spaces written as U+2581 that falls back
/// to bytes (`llama`). Whatever would cut texts in another way is refused.
class GgufTokenizer {
 public:
  /// Token ids must be below `vocab`; ids without a token are filled up.
  GgufTokenizer(const json::Value& root, const std::string& path, Index vocab) : in_(root, path) {
    const ConfigReader model = in_.inner("model");
    const std::string type = model.text("type", "BPE");
    if (type != "BPE") in_.refuse("a tokenizer of type {} is not written to GGUF: BPE is", printable(type));
    for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"})
      if (model.given(key) && *model.find(key) != json::Value("")) in_.refuse("model.{} is {}, which GGUF does not know", key, model.shown(*model.find(key)));
    cutting_ = GgufCutting::read(in_, model.flag("byte_fallback", false), model.flag("ignore_merges", false));
    read_tokens(model, vocab);
    read_merges(model);
    read_frame();
  }

  /// What stands around a text; -1: nothing.
  Index first() const { return first_; }
  Index last() const { return last_; }
  Index find(const std::string& token) const {
    const auto at = ids_.find(token);
    return at == ids_.end() ? -1 : at->second;
  }
  const std::vector<std::string>& notes() const { return cutting_.notes; }

  void describe(GgufMetadata& about) const {
    about.set("tokenizer.ggml.model", cutting_.byte_level ? "gpt2" : "llama");
    if (cutting_.byte_level) about.set("tokenizer.ggml.pre", cutting_.pre);
    about.set("tokenizer.ggml.tokens", tokens_);
    if (!cutting_.byte_level) about.set("tokenizer.ggml.scores", scores_);
    about.set("tokenizer.ggml.token_type", types_);
    if (cutting_.byte_level) about.set("tokenizer.ggml.merges", merges_);
    if (!cutting_.byte_level) about.set("tokenizer.ggml.add_space_prefix", cutting_.space_first);
    if (unknown_ >= 0) about.count("tokenizer.ggml.unknown_token_id", unknown_);
    about.set("tokenizer.ggml.add_bos_token", first_ >= 0);
    about.set("tokenizer.ggml.add_eos_token", last_ >= 0);
  }

 private:
  void place(const std::string& token, Index id, Index vocab, GgufToken type) {
    if (id < 0 || id >= vocab) in_.wrong("token {} has id {}, and the model has a vocabulary of {}", printable(token), id, vocab);
    auto& at = tokens_[std::size_t(id)];
    if (token.empty() || (!at.empty() && at != token)) in_.wrong("id {} stands for {} and for {}", id, printable(at), printable(token));
    if (const auto [known, fresh] = ids_.emplace(token, id); !fresh && known->second != id) in_.wrong("token {} has ids {} and {}", printable(token), known->second, id);
    at = token, types_[std::size_t(id)] = std::int32_t(type);
  }
  static bool is_byte(const std::string& t) { return t.size() == 6 && t.starts_with("<0x") && t.back() == '>'; }

  void read_tokens(const ConfigReader& model, Index vocab) {
    tokens_.resize(std::size_t(vocab)), types_.assign(std::size_t(vocab), std::int32_t(GgufToken::unused));
    const json::Value* const list = model.find("vocab");
    if (list == nullptr || !list->is_object() || list->size() == 0) in_.wrong("model.vocab is not there, or not an object");
    for (const auto& [token, id] : list->members()) {
      if (!id.is_integer()) in_.wrong("token {} has the id {}", printable(token), in_.shown(id));
      place(token, id.as_index(token), vocab, !cutting_.byte_level && is_byte(token) ? GgufToken::byte : GgufToken::normal);
    }
    if (in_.given("added_tokens")) {
      for (const json::Value& value : in_.find("added_tokens")->elements("added_tokens")) {
        const ConfigReader added(value, in_.source() + ", added_tokens");
        place(added.text("content"), added.integer("id", 0, Index{1} << 31), vocab, added.flag("special", false) ? GgufToken::control : GgufToken::user_defined);
      }
    }
    if (const std::string unknown = model.text("unk_token", ""); !unknown.empty()) {
      unknown_ = find(unknown);
      if (unknown_ < 0) in_.wrong("unk_token is {}, which is no token", printable(unknown));
      types_[std::size_t(unknown_)] = std::int32_t(GgufToken::unknown);
    }
    for (std::size_t id = 0; id < tokens_.size(); ++id) {
      if (!tokens_[id].empty()) continue;
      tokens_[id] = "[PAD" + std::to_string(id) + "]";
      if (!ids_.emplace(tokens_[id], Index(id)).second) in_.wrong("token {} is there, and id {} has none", printable(tokens_[id]), id);
    }
  }

  /// llama.cpp's `llama` joins the pair whose result has the highest score: the earlier a merge, the higher.
  void read_merges(const ConfigReader& model) {
    scores_.assign(tokens_.size(), 0);
    const json::Value* const list = model.find("merges");
    if (list == nullptr || !list->is_array()) in_.wrong("model.merges is not there, or not a list");
    std::set<Index> done;
    Index newest = -1;
    bool scattered = false;
    for (const json::Value& merge : list->elements()) {
      std::string a, b;
      if (merge.is_array() && merge.size() == 2) {
        a = merge.at(0).as_string("merges"), b = merge.at(1).as_string("merges");
      } else if (merge.is_string()) {
        const std::string& pair = merge.as_string();
        const std::size_t space = pair.find(' ', 1);
        if (space != std::string::npos) a = pair.substr(0, space), b = pair.substr(space + 1);
      }
      const Index joined = find(a + b);
      if (a.empty() || b.empty() || a.find(' ') != std::string::npos || b.find(' ') != std::string::npos || find(a) < 0 || find(b) < 0 || joined < 0) {
        in_.wrong("merge {} is {}, expected two tokens that make a third", merges_.size(), in_.shown(merge));
      }
      merges_.push_back(a + " " + b);
      if (joined == newest) continue;
      newest = joined;
      if (!done.insert(joined).second) {
        scattered = true;
      } else {
        scores_[std::size_t(joined)] = -float(done.size());
      }
    }
    for (std::size_t id = 0; id < scores_.size(); ++id)
      if (types_[id] == std::int32_t(GgufToken::normal) && done.count(Index(id)) == 0) scores_[id] = -float(done.size() + 1);
    if (scattered && !cutting_.byte_level) cutting_.notes.push_back("some tokens have merges of several ranks: llama.cpp may cut a few words in another way");
  }

  /// The special tokens that a post-processor puts before and behind a text.
  void read_frame() {
    if (!in_.given("post_processor")) return;
    const json::Value& all = *in_.find("post_processor");
    const std::vector<json::Value> one{all};
    for (const json::Value& value : all.text("type", "") == "Sequence" ? all.at("processors").elements("processors") : one) {
      const ConfigReader step(value, in_.source() + ", post_processor");
      const std::string type = step.text("type");
      if (type == "ByteLevel") continue;
      if (type != "TemplateProcessing") step.refuse("type {} is not written to GGUF: TemplateProcessing is", printable(type));
      bool text = false;
      for (const json::Value& piece : value.at("single").elements("single")) {
        if (piece.contains("Sequence")) {
          text = true;
          continue;
        }
        Index& end = text ? last_ : first_;
        const std::string name = piece.at("SpecialToken").text("id");
        if (end >= 0 || find(name) < 0) step.refuse("the template puts {} around a text; GGUF knows one token before and one behind it", printable(name));
        end = find(name);
      }
    }
  }

  ConfigReader in_;
  GgufCutting cutting_;
  std::vector<std::string> tokens_, merges_;
  std::vector<std::int32_t> types_;
  std::vector<float> scores_;
  std::map<std::string, Index> ids_;
  Index unknown_ = -1, first_ = -1, last_ = -1;
};

/// Bytes as tokens: llama.cpp's `llama` without a single merge.
inline void describe_gguf_bytes(GgufMetadata& about) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    const char* const digits = "0123456789ABCDEF";
    tokens.push_back(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">");
  }
  std::vector<std::int32_t> types(256, std::int32_t(GgufToken::byte));
  tokens[' '] = "\u2581", types[' '] = std::int32_t(GgufToken::normal);  // which is what `llama` makes of a space
  about.set("tokenizer.ggml.model", "llama");
  about.set("tokenizer.ggml.tokens", tokens);
  about.set("tokenizer.ggml.scores", std::vector<float>(256, 0));
  about.set("tokenizer.ggml.token_type", types);
  about.set("tokenizer.ggml.add_space_prefix", false);
  about.set("tokenizer.ggml.add_bos_token", false);
  about.set("tokenizer.ggml.add_eos_token", false);
  // Something has to end a text and to stand for what is unknown: the byte 0, which no text holds.
  for (const char* kind : {"bos", "eos", "unknown"}) about.set(std::string("tokenizer.ggml.") + kind + "_token_id", std::uint32_t(0));
}

/// The tokenizer beside a model, its special tokens and its chat template; bytes for a vocabulary of 256; else none.
inline void describe_gguf_tokenizer(GgufMetadata& about, const ModelSource& source, Index vocab, std::vector<std::string>& notes) {
  const auto there = [&](const char* name) { return source && io::exists(io::join(source.directory, name)); };
  if (!there("tokenizer.json")) {
    for (const char* other : {"tokenizer.model", "vocab.txt", "vocab.json"}) {
      if (there(other)) {
        fail(Errc::unsupported, "{}: the tokenizer is in {}, which is not written to GGUF\n  hint: AutoTokenizer.from_pretrained(...)"
             ".save_pretrained(...) makes a tokenizer.json of it", source.directory, other);
      }
    }
    if (vocab == 256) return describe_gguf_bytes(about);
    about.set("tokenizer.ggml.model", "none");
    notes.push_back("there is no tokenizer.json beside the model: the file has no vocabulary, and takes token ids only");
    return;
  }
  const std::string path = io::resolve_inside(source.directory, "tokenizer.json");
  const GgufTokenizer tokenizer(json::read_file(path, std::uint64_t{1} << 28), path, vocab);
  tokenizer.describe(about);
  for (const std::string& note : tokenizer.notes()) notes.push_back(note);
  json::Value settings = json::Value::object();
  if (there("tokenizer_config.json")) settings = json::read_file(io::resolve_inside(source.directory, "tokenizer_config.json"), std::uint64_t{1} << 24);
  const auto token = [&](const std::string& kind) -> Index {
    const json::Value* named = settings.is_object() ? settings.find(kind + "_token") : nullptr;
    if (named != nullptr && named->is_object()) named = named->find("content");
    if (named != nullptr && named->is_string()) return tokenizer.find(named->as_string());
    const json::Value* number = source.config.is_object() ? source.config.find(kind + "_token_id") : nullptr;
    if (number != nullptr && number->is_array() && number->size() > 0) number = &number->elements().front();
    const bool good = number != nullptr && number->is_integer() && number->as_double() >= 0 && number->as_double() < double(vocab);
    return good ? number->as_index() : -1;
  };
  const std::pair<const char*, Index> special[] = {{"bos", tokenizer.first() >= 0 ? tokenizer.first() : token("bos")},
                                                   {"eos", tokenizer.last() >= 0 ? tokenizer.last() : token("eos")},
                                                   {"padding", token("pad")}};
  for (const auto& [kind, id] : special)
    if (id >= 0) about.count(std::string("tokenizer.ggml.") + kind + "_token_id", id);
  if (there("chat_template.jinja")) {
    about.set("tokenizer.chat_template", io::read_file(io::resolve_inside(source.directory, "chat_template.jinja")));
  } else if (settings.is_object() && settings.find("chat_template") != nullptr && settings.find("chat_template")->is_string()) {
    about.set("tokenizer.chat_template", settings.text("chat_template"));
  }
}

}  // namespace espalier::inline v0
