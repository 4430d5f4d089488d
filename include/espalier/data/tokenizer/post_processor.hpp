// SPDX-License-Identifier: MIT
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <espalier/data/tokenizer/settings.hpp>
#include <espalier/data/tokenizer/vocabulary.hpp>

namespace espalier::inline v0 {

/// Token ids, and for each the text of a pair it belongs to, as models with segment embeddings want it.
struct Encoding {
  std::vector<int> ids;
  std::vector<int> types;
};

}  // namespace espalier::inline v0

namespace espalier::inline v0::text {

namespace post_processors {

/// [CLS] A [SEP], or [CLS] A [SEP] B [SEP]; RoBERTa puts a second separator before B and counts all as one text.
struct Bert {
  int cls, sep;
  bool roberta;
  void operator()(std::vector<Encoding>& all, bool special) const {
    for (std::size_t i = 0; i < all.size(); ++i) {
      Encoding& e = all[i];
      if (roberta) e.types.assign(e.ids.size(), 0);
      if (!special) continue;
      const int type = roberta || i == 0 ? 0 : 1;
      if (i == 0 || roberta) e.ids.insert(e.ids.begin(), i == 0 ? cls : sep), e.types.insert(e.types.begin(), 0);
      e.ids.push_back(sep), e.types.push_back(type);
    }
  }
};
/// Texts and special tokens in the order of a template, one for single texts and one for pairs.
struct Template {
  struct Item {
    int sequence;            // 0 or 1; −1: special tokens
    std::vector<int> ids;
    int type;
  };
  std::vector<Item> single, pair;
  void operator()(std::vector<Encoding>& all, bool special) const {
    std::vector<Encoding> out;
    for (const Item& item : all.size() == 2 ? pair : single) {
      if (item.sequence < 0) {
        if (special) out.push_back({item.ids, std::vector<int>(item.ids.size(), item.type)});
      } else {
        std::vector<int> ids = all[std::size_t(item.sequence)].ids;
        std::vector<int> types(ids.size(), item.type);
        out.push_back({std::move(ids), std::move(types)});
      }
    }
    all = std::move(out);
  }
};

}  // namespace post_processors

/// What is put around one text or two.
class PostProcessor {
 public:
  PostProcessor() = default;
  explicit PostProcessor(const json::Value& part) { read(part, 0); }
  static PostProcessor bert(int cls, int sep) {
    PostProcessor p;
    p.step_ = post_processors::Bert{cls, sep, false};
    return p;
  }

  /// `all` holds one text or two.
  Encoding operator()(std::vector<Encoding> all, bool special) const {
    std::visit(
        [&](const auto& s) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(s)>, std::monostate>) s(all, special);
        },
        step_);
    Encoding whole = std::move(all.front());
    for (std::size_t i = 1; i < all.size(); ++i) {
      whole.ids.insert(whole.ids.end(), all[i].ids.begin(), all[i].ids.end());
      whole.types.insert(whole.types.end(), all[i].types.begin(), all[i].types.end());
    }
    return whole;
  }

 private:
  void read(const json::Value& part, int depth) {
    const std::string type = type_of(part);
    const auto pair_id = [&](std::string_view key) {
      const json::Value& pair = part.at(key);
      if (!pair.is_array() || pair.size() != 2) fail(Errc::bad_input, "{} is no pair of a token and its id", key);
      return Vocabulary::read_id(pair.at(1), key);
    };
    if (type == "Sequence") {
      allow_keys(part, "post_processor Sequence", {"processors"});
      for (const json::Value& one : part.at("processors").elements("processors")) read(one, depth + 1);
    } else if (type == "ByteLevel") {
      allow_keys(part, "post_processor ByteLevel", {"add_prefix_space", "trim_offsets", "use_regex"});  // offsets only
    } else if (type == "BertProcessing") {
      allow_keys(part, type, {"sep", "cls"});
      set(post_processors::Bert{pair_id("cls"), pair_id("sep"), false});
    } else if (type == "RobertaProcessing") {
      allow_keys(part, type, {"sep", "cls", "trim_offsets", "add_prefix_space"});
      set(post_processors::Bert{pair_id("cls"), pair_id("sep"), true});
    } else if (type == "TemplateProcessing") {
      allow_keys(part, type, {"single", "pair", "special_tokens"});
      set(post_processors::Template{read_template(part, "single", 1), read_template(part, "pair", 2)});
    } else {
      refuse_type("post_processor", type, "Sequence, ByteLevel, BertProcessing, RobertaProcessing and TemplateProcessing");
    }
  }
  template <class Step>
  void set(Step step) {
    if (!std::holds_alternative<std::monostate>(step_)) {
      fail(Errc::unsupported, "post_processor: two that add tokens, one behind the other. Hint: keep one of them");
    }
    step_ = std::move(step);
  }
  static std::vector<post_processors::Template::Item> read_template(const json::Value& part, std::string_view key, int sequences) {
    std::vector<post_processors::Template::Item> items;
    bool seen[2] = {false, sequences < 2};
    for (const json::Value& item : part.at(key).elements(key)) {
      const json::Value *sequence = item.find("Sequence"), *token = item.find("SpecialToken");
      if (item.size() != 1 || (sequence == nullptr && token == nullptr))
        fail(Errc::bad_input, "TemplateProcessing: {} holds {}, expected a Sequence or a SpecialToken", key, item.dump());
      const json::Value& what = sequence != nullptr ? *sequence : *token;
      const std::string& id = what.text("id");
      const int type = Vocabulary::read_id(what.at("type_id"), "type_id");
      if (sequence != nullptr) {
        const int which = id == "A" ? 0 : id == "B" ? 1 : -1;
        if (which < 0 || which >= sequences) fail(Errc::bad_input, "TemplateProcessing: {} names the text {}", key, printable(id));
        seen[which] = true;
        items.push_back({which, {}, type});
        continue;
      }
      std::vector<int> ids;
      const json::Value* known = part.at("special_tokens").find(id);
      if (known == nullptr) fail(Errc::bad_input, "TemplateProcessing: {} names {}, which is not among special_tokens", key, printable(id));
      for (const json::Value& x : known->at("ids").elements("ids")) ids.push_back(Vocabulary::read_id(x, "ids"));
      items.push_back({-1, std::move(ids), type});
    }
    if (!seen[0] || !seen[1]) fail(Errc::bad_input, "TemplateProcessing: {} leaves a text out", key);
    return items;
  }

  std::variant<std::monostate, post_processors::Bert, post_processors::Template> step_;
};

}  // namespace espalier::inline v0::text
