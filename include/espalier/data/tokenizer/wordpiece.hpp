// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/data/tokenizer/settings.hpp>
#include <espalier/data/tokenizer/trie.hpp>
#include <espalier/data/tokenizer/vocabulary.hpp>

namespace espalier::inline v0::text {

/// The longest token that a word begins with, then the longest that continues it ("##" in front), to its end; a word
/// that cannot be finished is unknown as a whole.                                                      Wu et al. 2016
class WordPiece {
 public:
  static constexpr Index most_characters = 1000;  ///< of a word; bounds the work, as every step may look that far

  explicit WordPiece(const json::Value& model) {
    allow_keys(model, "model WordPiece", {"unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"});
    vocabulary_ = Vocabulary::read(model.at("vocab"));
    unknown_name_ = model.text("unk_token", "[UNK]"), prefix_ = model.text("continuing_subword_prefix", "##");
    longest_ = model.index("max_input_chars_per_word", 100);
    prepare();
  }
  explicit WordPiece(Vocabulary vocabulary, std::string unknown = "[UNK]")
      : vocabulary_(std::move(vocabulary)), unknown_name_(std::move(unknown)) {
    prepare();
  }

  const Vocabulary& vocabulary() const { return vocabulary_; }

  void encode(std::string_view word, std::vector<int>& out) const {
    Index characters = 0;
    for (std::size_t at = 0; at < word.size() && characters <= longest_; at += utf8::length(word[at])) ++characters;
    if (characters > longest_) return push_unknown(word, out);
    const std::size_t before = out.size();
    for (std::size_t at = 0; at < word.size();) {
      std::uint32_t node = at == 0 ? Trie::root() : continuing_;
      std::size_t end = at;
      int id = -1;
      for (std::size_t i = at; i < word.size() && node != Trie::none;) {
        node = tokens_.step(node, word[i++]);
        if (node != Trie::none && tokens_.value(node) >= 0) id = tokens_.value(node), end = i;
      }
      if (id < 0) {
        out.resize(before);
        return push_unknown(word, out);
      }
      out.push_back(id);
      at = end;
    }
  }

 private:
  void prepare() {
    if (longest_ < 0 || longest_ > most_characters) {
      fail(Errc::unsupported, "model WordPiece: max_input_chars_per_word is {}, at most {} are computed here", longest_, most_characters);
    }
    std::vector<std::pair<std::string_view, int>> all;
    for (Index id = 0; id < vocabulary_.end(); ++id)
      if (vocabulary_.has(id)) all.emplace_back(vocabulary_[id], int(id));
    tokens_ = Trie(std::move(all));
    continuing_ = tokens_.walk(Trie::root(), prefix_);
    unknown_ = vocabulary_.find(unknown_name_);
  }
  void push_unknown(std::string_view word, std::vector<int>& out) const {
    if (unknown_ < 0) {
      fail(Errc::bad_input, "{} is unknown to the tokenizer and its unk_token {} is not in the vocabulary",
           printable(word.substr(0, 80)), printable(unknown_name_));
    }
    out.push_back(unknown_);
  }

  Vocabulary vocabulary_;
  std::string unknown_name_, prefix_ = "##";
  Index longest_ = 100;
  Trie tokens_;
  std::uint32_t continuing_ = Trie::none;  // behind the prefix
  int unknown_ = -1;
};

}  // namespace espalier::inline v0::text
