// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/data/tokenizer/normalizer.hpp>
#include <espalier/data/tokenizer/pieces.hpp>
#include <espalier/data/tokenizer/trie.hpp>

namespace espalier::inline v0::text {

/// A token that is looked for before the model sees the text.
struct AddedToken {
  int id = 0;
  std::string content;
  bool single_word = false, lstrip = false, rstrip = false, normalized = false, special = false;
};

/// Tokens beside the model's own. Those that are not normalized are looked for in the text as it comes, the others in
/// the normalized text and in their own normalized form. Where several match, the leftmost and of these the longest.
class AddedTokens {
 public:
  static constexpr std::size_t longest = 1024;  ///< bytes of a token; bounds the work for each byte of a text

  AddedTokens() = default;
  void add(AddedToken token, const Normalizer& normalizer) {
    if (token.content.empty()) return;
    if (token.content.size() > longest) {
      fail(Errc::unsupported, "added_tokens: {} has {} bytes, at most {} are read",
           printable(std::string_view(token.content).substr(0, 40)), token.content.size(), longest);
    }
    if (token.normalized && !normalizer.empty()) {
      std::string form = normalizer(token.content).text;
      if (form != token.content) normal_[token.id] = std::move(form);
    }
    if (token.special) special_.insert(token.content);
    ids_[token.content] = token.id;
    const int id = token.id;
    tokens_[id] = std::move(token);
  }
  /// After the last one.
  void prepare() {
    std::vector<std::pair<std::string_view, int>> raw, normal;
    for (const auto& [id, token] : tokens_) {
      const std::string_view form = text(id);
      if (form.size() > 4 * longest) fail(Errc::unsupported, "added_tokens: the normalized form of {} has {} bytes", id, form.size());
      if (!form.empty()) (token.normalized ? normal : raw).emplace_back(token.normalized ? form : std::string_view(token.content), id);
    }
    raw_ = Trie(std::move(raw)), normal_trie_ = Trie(std::move(normal));
  }

  const std::map<int, AddedToken>& all() const { return tokens_; }
  const AddedToken* find(int id) const {
    const auto at = tokens_.find(id);
    return at == tokens_.end() ? nullptr : &at->second;
  }
  int id(std::string_view content) const {
    const auto at = ids_.find(content);
    return at == ids_.end() ? -1 : at->second;
  }
  /// As the model would have seen it: the normalized form if it has one.
  std::string_view text(int id) const {
    const auto at = normal_.find(id);
    return at == normal_.end() ? tokens_.at(id).content : at->second;
  }
  bool is_special(std::string_view text) const { return special_.find(text) != special_.end(); }

  /// Tokens and what lies between them: id −1. `lead`: bytes in front of the text that Pieces asks for.
  std::vector<Pieces::Piece> split(std::string_view text, bool normalized, std::size_t lead) const {
    const Trie& trie = normalized ? normal_trie_ : raw_;
    std::vector<Pieces::Piece> out;
    if (trie.empty()) return {{0, text.size(), -1, lead}};
    std::size_t done = 0;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t end = at;
      int id = -1;
      std::uint32_t node = Trie::root();
      for (std::size_t i = at; i < text.size();) {
        node = trie.step(node, text[i++]);
        if (node == Trie::none) break;
        if (trie.value(node) >= 0) id = trie.value(node), end = i;
      }
      if (id < 0) {
        ++at;
        continue;
      }
      std::size_t begin = at;
      at = end;
      const AddedToken& token = tokens_.at(id);
      if (token.single_word && touches_a_word(text, begin, end)) continue;
      if (token.lstrip) {
        while (begin > 0) {
          const std::size_t before = utf8::begin_before(text, begin);
          if (before < done || !unicode::is_space(utf8::at(text, before))) break;
          begin = before;
        }
      }
      if (token.rstrip) end = words::run(text, end, unicode::is_space);
      if (done < begin) out.push_back({done, begin, -1, lead - std::min(lead, done)});
      out.push_back({begin, end, id});
      done = end;
    }
    if (done < text.size()) out.push_back({done, text.size(), -1, lead - std::min(lead, done)});
    return out;
  }

 private:
  static bool touches_a_word(std::string_view text, std::size_t begin, std::size_t end) {
    return (begin > 0 && unicode::is_word(utf8::at(text, utf8::begin_before(text, begin)))) ||
           (end < text.size() && unicode::is_word(utf8::at(text, end)));
  }

  std::map<int, AddedToken> tokens_;
  std::map<std::string, int, std::less<>> ids_;
  std::map<int, std::string> normal_;  // forms that differ from the contents
  std::set<std::string, std::less<>> special_;
  Trie raw_, normal_trie_;
};

}  // namespace espalier::inline v0::text
