// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/data/tokenizer/settings.hpp>
#include <espalier/data/tokenizer/vocabulary.hpp>
#include <espalier/data/tokenizer/word_cache.hpp>

namespace espalier::inline v0::text {

/// Which pairs of tokens become one: the earlier in the list, the sooner.
class Merges {
 public:
  struct Merge {
    int left, right, rank, product;
  };
  Merges() = default;
  /// Of two rules for a pair the later one counts.
  Merges(std::vector<Merge> all, Index tokens) : all_(std::move(all)), first_(std::size_t(tokens) + 1) {
    std::sort(all_.begin(), all_.end(), [](const Merge& a, const Merge& b) {
      return std::pair(a.left, a.right) != std::pair(b.left, b.right) ? std::pair(a.left, a.right) < std::pair(b.left, b.right)
                                                                      : a.rank > b.rank;
    });
    all_.erase(std::unique(all_.begin(), all_.end(),
                           [](const Merge& a, const Merge& b) { return a.left == b.left && a.right == b.right; }),
               all_.end());
    std::size_t at = 0;
    for (std::size_t id = 0; id < first_.size(); ++id) {
      while (at < all_.size() && all_[at].left < int(id)) ++at;
      first_[id] = at;
    }
  }
  const Merge* find(int left, int right) const {
    const auto begin = all_.begin() + std::ptrdiff_t(first_[std::size_t(left)]);
    const auto end = all_.begin() + std::ptrdiff_t(first_[std::size_t(left) + 1]);
    const auto found = std::lower_bound(begin, end, right, [](const Merge& m, int r) { return m.right < r; });
    return found == end || found->right != right ? nullptr : &*found;
  }
  const std::vector<Merge>& all() const { return all_; }

 private:
  std::vector<Merge> all_;           // by left, then right
  std::vector<std::size_t> first_;   // where the rules of a left token begin
};

/// Byte pair encoding: characters, and then the pair of the lowest rank (the leftmost of equals) becomes one token until
/// no rule applies. A heap of pairs makes that n log n in the length of a word.                 Sennrich et al. 2016
class Bpe {
 public:
  explicit Bpe(const json::Value& model) {
    allow_keys(model, "model BPE", {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                                    "byte_fallback", "ignore_merges", "vocab", "merges"});
    if (model.given("dropout") && model.number("dropout") != 0) {
      fail(Errc::unsupported, "model BPE: dropout {} makes the ids of a text random. Hint: set it to null", model.number("dropout"));
    }
    vocabulary_ = Vocabulary::read(model.at("vocab"));
    prefix_ = model.text("continuing_subword_prefix", ""), suffix_ = model.text("end_of_word_suffix", "");
    fuse_unknown_ = model.flag("fuse_unk", false), ignore_merges_ = model.flag("ignore_merges", false);
    if (model.given("unk_token")) has_unknown_ = true, unknown_name_ = model.text("unk_token"), unknown_ = vocabulary_.find(unknown_name_);
    read_merges(model.at("merges"));
    bytes_.fill(-1);
    if (model.flag("byte_fallback", false)) {
      for (unsigned b = 0; b < 256; ++b) bytes_[b] = vocabulary_.find(byte_token(b));
    }
    characters_.assign(0x3000, -1);
    for (Index id = 0; id < vocabulary_.end(); ++id) {
      if (!vocabulary_.has(id)) continue;
      const std::string& token = vocabulary_[id];
      if (!token.empty() && utf8::length(token[0]) == token.size() && utf8::at(token, 0) < characters_.size())
        characters_[utf8::at(token, 0)] = int(id);
    }
    // Where no token has a space inside or at its end, spaces cut a text into words that know nothing of each other.
    cut_at_spaces_ = prefix_.empty() && suffix_.empty() && vocabulary_.find(space) >= 0 &&
                     std::none_of(merges_.all().begin(), merges_.all().end(), [&](const Merges::Merge& m) {
                       return joins_before_space(vocabulary_[m.product]);
                     });
  }

  const Vocabulary& vocabulary() const { return vocabulary_; }

  void encode(std::string_view word, std::vector<int>& out) {
    if (ignore_merges_) {
      if (const int whole = vocabulary_.find(word); whole >= 0) return out.push_back(whole);
    }
    if (!cut_at_spaces_) return encode_cached(word, out);
    while (!word.empty()) {
      std::size_t end = 0;
      while (word.substr(end).starts_with(space)) end += space.size();
      end = std::min(word.find(space, end), word.size());
      encode_cached(word.substr(0, end), out);
      word.remove_prefix(end);
    }
  }

 private:
  static constexpr std::string_view space = "\xe2\x96\x81";  // U+2581

  static bool joins_before_space(std::string_view token) {
    std::size_t at = 0;
    while (token.substr(at).starts_with(space)) at += space.size();
    return token.find(space, at) != std::string_view::npos;
  }

  void read_merges(const json::Value& list) {
    const auto id_of = [&](std::string_view token, Index rank) {
      const int id = vocabulary_.find(token);
      if (id < 0) fail(Errc::bad_input, "model BPE: merge {} needs {}, which is not in the vocabulary", rank, printable(token));
      return id;
    };
    std::vector<Merges::Merge> all;
    all.reserve(std::size_t(list.size()));
    for (const json::Value& entry : list.elements("merges")) {
      const Index rank = Index(all.size());
      std::string_view left, right;
      if (entry.is_array()) {  // ["a", "b"], as newer files have it
        if (entry.size() != 2) fail(Errc::bad_input, "model BPE: merge {} has {} parts, expected 2", rank, entry.size());
        left = entry.at(0).as_string("merges"), right = entry.at(1).as_string("merges");
      } else {  // "a b"
        const std::string_view both = entry.as_string("merges");
        if (both.starts_with("#version")) continue;
        const auto gap = both.find(' ');
        if (gap == std::string_view::npos || both.find(' ', gap + 1) != std::string_view::npos) {
          fail(Errc::bad_input, "model BPE: merge {} is {}, expected two tokens with a space between", rank, printable(both));
        }
        left = both.substr(0, gap), right = both.substr(gap + 1);
      }
      const int a = id_of(left, rank), b = id_of(right, rank);
      if (right.size() < prefix_.size()) {
        fail(Errc::bad_input, "model BPE: merge {} continues with {}, which is shorter than the prefix {}", rank,
             printable(right), printable(prefix_));
      }
      all.push_back({a, b, int(rank), id_of(std::string(left).append(right.substr(prefix_.size())), rank)});
    }
    merges_ = Merges(std::move(all), vocabulary_.end());
  }

  void encode_cached(std::string_view word, std::vector<int>& out) {
    WordCache::Slot* slot = cache_.slot(word);
    if (slot != nullptr && slot->word == word) {
      out.insert(out.end(), slot->ids.begin(), slot->ids.end());
      return;
    }
    const std::size_t before = out.size();
    merge(word, out);
    if (slot != nullptr) slot->word = word, slot->ids.assign(out.begin() + std::ptrdiff_t(before), out.end());
  }

  struct Symbol {
    int id, previous, next;  // -1: none; id -1: taken in by its left neighbour
  };
  struct Candidate {
    int rank, at, product;
    friend bool operator>(const Candidate& a, const Candidate& b) {
      return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
    }
  };

  int id_of_character(std::string_view character, bool first, bool last) {
    if (prefix_.empty() && suffix_.empty()) {
      const char32_t c = utf8::at(character, 0);
      return c < characters_.size() ? characters_[c] : vocabulary_.find(character);
    }
    affixed_.clear();
    if (!first) affixed_ += prefix_;
    affixed_ += character;
    if (last) affixed_ += suffix_;
    return vocabulary_.find(affixed_);
  }

  void list_symbols(std::string_view word) {
    symbols_.clear();
    bool unknown_waits = false;
    const auto add = [&](int id) { symbols_.push_back({id, int(symbols_.size()) - 1, int(symbols_.size()) + 1}); };
    const auto add_waiting = [&] {
      if (unknown_waits) add(unknown_);
      unknown_waits = false;
    };
    for (std::size_t at = 0; at < word.size();) {
      const std::string_view character = word.substr(at, utf8::length(word[at]));
      const bool first = at == 0;
      at += character.size();
      const bool last = at == word.size();
      if (const int id = id_of_character(character, first, last); id >= 0) {
        add_waiting();
        add(id);
        continue;
      }
      const std::string_view spelled = prefix_.empty() && suffix_.empty() ? character : std::string_view(affixed_);
      if (std::all_of(spelled.begin(), spelled.end(), [&](char c) { return bytes_[static_cast<unsigned char>(c)] >= 0; })) {
        // An unknown that waits is written behind the bytes: so does the library that made these files.
        for (const char c : spelled) add(bytes_[static_cast<unsigned char>(c)]);
        continue;
      }
      if (!has_unknown_) continue;  // without a token for the unknown it is left out
      if (unknown_ < 0) {
        fail(Errc::bad_input, "{} is unknown to the tokenizer and its unk_token {} is not in the vocabulary",
             printable(character), printable(unknown_name_));
      }
      if (!fuse_unknown_) add_waiting();
      unknown_waits = true;
    }
    add_waiting();
    if (!symbols_.empty()) symbols_.back().next = -1;
  }

  void merge(std::string_view word, std::vector<int>& out) {
    list_symbols(word);
    candidates_.clear();
    const auto candidate = [&](int at, int next) -> const Merges::Merge* {
      return merges_.find(symbols_[std::size_t(at)].id, symbols_[std::size_t(next)].id);
    };
    for (int i = 0; i + 1 < int(symbols_.size()); ++i) {
      if (const Merges::Merge* m = candidate(i, i + 1)) candidates_.push_back({m->rank, i, m->product});
    }
    std::make_heap(candidates_.begin(), candidates_.end(), std::greater<>());
    const auto push = [&](int at, int next) {
      if (const Merges::Merge* m = candidate(at, next)) {
        candidates_.push_back({m->rank, at, m->product});
        std::push_heap(candidates_.begin(), candidates_.end(), std::greater<>());
      }
    };
    while (!candidates_.empty()) {
      std::pop_heap(candidates_.begin(), candidates_.end(), std::greater<>());
      const Candidate best = candidates_.back();
      candidates_.pop_back();
      Symbol& left = symbols_[std::size_t(best.at)];
      if (left.id < 0 || left.next < 0) continue;
      const Merges::Merge* still = candidate(best.at, left.next);
      if (still == nullptr || still->product != best.product) continue;  // one of the two has changed since
      Symbol& right = symbols_[std::size_t(left.next)];
      left.id = best.product, left.next = right.next;
      right.id = -1;
      if (left.next >= 0) symbols_[std::size_t(left.next)].previous = best.at;
      if (left.previous >= 0) push(left.previous, best.at);
      if (left.next >= 0) push(best.at, left.next);
    }
    for (const Symbol& s : symbols_)
      if (s.id >= 0) out.push_back(s.id);
  }

  Vocabulary vocabulary_;
  Merges merges_;
  std::string prefix_, suffix_, unknown_name_;
  bool fuse_unknown_ = false, ignore_merges_ = false, has_unknown_ = false, cut_at_spaces_ = false;
  int unknown_ = -1;
  std::array<int, 256> bytes_;   // tokens of single bytes, if they stand in for what is unknown
  std::vector<int> characters_;  // tokens of one character, the frequent ones
  WordCache cache_;
  std::string affixed_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> candidates_;
};

}  // namespace espalier::inline v0::text
