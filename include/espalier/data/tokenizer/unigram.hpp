// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/data/tokenizer/settings.hpp>
#include <espalier/data/tokenizer/trie.hpp>
#include <espalier/data/tokenizer/vocabulary.hpp>
#include <espalier/data/tokenizer/word_cache.hpp>

namespace espalier::inline v0::text {

/// A number as Rust's serde_json reads its shortest spelling: all digits as an integer, rounded, and then a division by a
/// power of ten, rounded again. The last bit decides between ways that are as good, as of cutting "aaaa".
inline double as_read_by_serde(double x) {
  char spelled[32];
  const auto end = std::to_chars(spelled, spelled + sizeof spelled, x, std::chars_format::scientific).ptr;
  std::uint64_t digits = 0;
  int exponent = 0;
  const char* at = spelled + (spelled[0] == '-' ? 1 : 0);
  for (bool fraction = false; at < end && *at != 'e'; ++at) {
    if (*at == '.') {
      fraction = true;
    } else {
      digits = digits * 10 + std::uint64_t(*at - '0'), exponent -= fraction ? 1 : 0;
    }
  }
  int power = 0;
  if (at < end) std::from_chars(at + (at[1] == '+' ? 2 : 1), end, power);
  exponent += power;
  if (exponent >= 0 || exponent < -30) return x;  // whole numbers, and too small to matter
  double ten = 1;
  for (int i = 0; i < std::min(-exponent, 22); ++i) ten *= 10;  // exact up to here
  if (exponent < -22) {
    const std::string_view powers[] = {"1e23", "1e24", "1e25", "1e26", "1e27", "1e28", "1e29", "1e30"};
    const std::string_view p = powers[-exponent - 23];
    std::from_chars(p.data(), p.data() + p.size(), ten);
  }
  return std::copysign(double(digits) / ten, x);
}

/// The pieces whose scores sum to the most (Viterbi over byte positions). A character that is no piece costs the lowest
/// score − 10, and neighbouring ones become one unknown.                                                  Kudo 2018
class Unigram {
 public:
  static constexpr std::size_t longest_piece = 1024;  ///< bytes; bounds the work for each byte of a text

  explicit Unigram(const json::Value& model) {
    allow_keys(model, "model Unigram", {"unk_id", "vocab", "byte_fallback"});
    const auto& pieces = model.at("vocab").elements("vocab");
    std::vector<std::pair<std::string_view, int>> all;
    all.reserve(pieces.size()), names_.reserve(pieces.size()), scores_.reserve(pieces.size());
    for (const json::Value& piece : pieces) {
      if (piece.size() != 2 || !piece.is_array()) fail(Errc::bad_input, "model Unigram: a piece is no pair of text and score");
      names_.push_back(piece.at(0).as_string("vocab")), scores_.push_back(as_read_by_serde(piece.at(1).as_double("vocab")));
      lowest_ = std::min(lowest_, scores_.back());
      if (names_.back().size() > longest_piece) {
        fail(Errc::unsupported, "model Unigram: a piece of {} bytes, at most {} are read", names_.back().size(), longest_piece);
      }
    }
    for (std::size_t i = 0; i < names_.size(); ++i) all.emplace_back(names_[i], int(i));
    pieces_ = Trie(std::move(all));
    if (model.given("unk_id")) {
      unknown_ = Vocabulary::read_id(model.at("unk_id"), "unk_id");
      if (std::size_t(unknown_) >= names_.size())
        fail(Errc::bad_input, "model Unigram: unk_id {} of {} pieces", unknown_, names_.size());
    }
    bytes_.fill(-1);
    if (model.flag("byte_fallback", false)) {
      for (unsigned b = 0; b < 256; ++b) bytes_[b] = pieces_.find(byte_token(b));
    }
  }

  Index size() const { return Index(names_.size()); }
  const std::string* name(Index id) const { return id >= 0 && id < size() ? &names_[std::size_t(id)] : nullptr; }
  int find(std::string_view token) const { return pieces_.find(token); }

  void encode(std::string_view word, std::vector<int>& out) {
    WordCache::Slot* slot = cache_.slot(word);
    if (slot != nullptr && slot->word == word) {
      out.insert(out.end(), slot->ids.begin(), slot->ids.end());
      return;
    }
    const std::size_t before = out.size();
    segment(word, out);
    if (slot != nullptr) slot->word = word, slot->ids.assign(out.begin() + std::ptrdiff_t(before), out.end());
  }

 private:
  struct Best {
    double score = 0;
    int id = 0, begin = -1;  // of the last piece of the best way to get here
  };

  void segment(std::string_view word, std::vector<int>& out) {
    best_.assign(word.size() + 1, Best());
    const auto offer = [&](std::size_t end, double score, int id, std::size_t begin) {
      Best& there = best_[end];
      if (there.begin < 0 || score > there.score) there = {score, id, int(begin)};
    };
    for (std::size_t at = 0; at < word.size();) {
      const std::size_t length = utf8::length(word[at]);
      const double here = best_[at].score;
      bool is_piece = false;
      std::uint32_t node = Trie::root();
      for (std::size_t i = at; i < word.size();) {
        node = pieces_.step(node, word[i++]);
        if (node == Trie::none) break;
        if (const int id = pieces_.value(node); id >= 0) {
          offer(i, scores_[std::size_t(id)] + here, id, at);
          is_piece = is_piece || i - at == length;
        }
      }
      if (!is_piece) {
        offer(at + length, lowest_ - 10 + here, unknown_, at);
        if (best_[at + length].id < 0) refuse_unknown(word.substr(at, length));
      }
      at += length;
    }
    const std::size_t before = out.size();
    for (int end = int(word.size()); end > 0;) {
      int begin = best_[std::size_t(end)].begin;
      if (best_[std::size_t(end)].id == unknown_) {  // -1 never gets here
        while (begin > 0 && best_[std::size_t(begin)].id == unknown_) begin = best_[std::size_t(begin)].begin;
        push_unknown(word.substr(std::size_t(begin), std::size_t(end - begin)), out);
      } else {
        out.push_back(best_[std::size_t(end)].id);
      }
      end = begin;
    }
    std::reverse(out.begin() + std::ptrdiff_t(before), out.end());
  }

  /// Backwards, as segment() writes.
  void push_unknown(std::string_view run, std::vector<int>& out) {
    if (const int id = pieces_.find(run); id >= 0) return out.push_back(id);
    if (std::all_of(run.begin(), run.end(), [&](char c) { return bytes_[static_cast<unsigned char>(c)] >= 0; })) {
      for (std::size_t i = run.size(); i-- > 0;) out.push_back(bytes_[static_cast<unsigned char>(run[i])]);
      return;
    }
    if (unknown_ < 0) refuse_unknown(run);
    out.push_back(unknown_);
  }
  [[noreturn]] static void refuse_unknown(std::string_view text) {
    fail(Errc::bad_input, "{} is unknown to the tokenizer, which has no unk_id", printable(text));
  }

  std::vector<std::string> names_;
  std::vector<double> scores_;
  Trie pieces_;
  double lowest_ = std::numeric_limits<double>::infinity();
  int unknown_ = -1;
  std::array<int, 256> bytes_;
  WordCache cache_;
  std::vector<Best> best_;
};

}  // namespace espalier::inline v0::text
