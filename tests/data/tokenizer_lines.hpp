// SPDX-License-Identifier: MIT
#pragma once
// The lines that tests/data/make_tokenizers.py draws.
#include <cstdint>
#include <espalier/data/tokenizer/utf8.hpp>
#include <espalier/io/json_file.hpp>
#include <string>
#include <vector>

namespace espalier::test {

/// SplitMix64.
struct SplitMix {
  std::uint64_t state = 0;
  std::uint64_t below(std::uint64_t n) {
    state += 0x9E3779B97F4A7C15u;
    std::uint64_t z = state;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) % n;
  }
};

class Lines {
 public:
  explicit Lines(const json::Value& tables, std::vector<std::string> tokens = {}) : tokens_(std::move(tokens)) {
    for (const json::Value& x : tables.at("words").elements()) words_.push_back(x.as_string());
    for (const json::Value& x : tables.at("pieces").elements()) pieces_.push_back(x.as_string());
    for (const json::Value& x : tables.at("spaces").elements()) spaces_.push_back(x.as_string());
    for (const json::Value& x : tables.at("ranges").elements())
      ranges_.emplace_back(char32_t(x.at(0).as_index()), char32_t(x.at(1).as_index()));
    for (const json::Value& x : tables.at("broken").elements()) {
      const std::string& hex = x.as_string();
      std::string bytes;
      for (std::size_t i = 0; i < hex.size(); i += 2) bytes += char(std::stoi(hex.substr(i, 2), nullptr, 16));
      broken_.push_back(bytes);
    }
  }

  std::string operator()(std::uint64_t seed) {
    random_.state = seed;
    std::string out;
    for (std::uint64_t parts = 1 + below(14); parts > 0; --parts) {
      const std::uint64_t kind = below(100);
      if (kind < 40) {
        out += pick(words_);
      } else if (kind < 58) {
        out += pick(pieces_);
      } else if (kind < 76) {
        const auto [first, last] = pick(ranges_);
        for (std::uint64_t n = 1 + below(6); n > 0; --n) utf8::append(out, first + char32_t(below(last - first + 1)));
      } else if (kind < 84) {
        out += pick(spaces_);
      } else if (kind < 89) {
        std::uint64_t limit = 10;
        for (std::uint64_t n = below(9); n > 0; --n) limit *= 10;
        out += std::to_string(below(limit));
      } else if (kind < 92) {
        out += pick(broken_);
      } else if (kind < 97) {
        if (!tokens_.empty()) out += pick(tokens_);
      } else if (kind < 98) {
        const std::string& piece = pick(pieces_);
        for (std::uint64_t n = 1 + below(60); n > 0; --n) out += piece;
      } else {
        const std::string& word = pick(words_);
        const std::string first = word.substr(0, utf8::length(word[0]));
        for (std::uint64_t n = below(150); n > 0; --n) out += first;
      }
      if (below(3) > 0) out += pick(spaces_);
    }
    return out;
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_.below(n); }
  template <class T>
  const T& pick(const std::vector<T>& table) {
    return table[below(table.size())];
  }

  SplitMix random_;
  std::vector<std::string> words_, pieces_, spaces_, broken_, tokens_;
  std::vector<std::pair<char32_t, char32_t>> ranges_;
};

}  // namespace espalier::test
