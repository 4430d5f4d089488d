// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <espalier/data/tokenizer/unicode_tables.hpp>
#include <espalier/data/tokenizer/utf8.hpp>

namespace espalier::inline v0::unicode {

/// A byte for every character, laid out once from runs "first character << 8 | byte".
class ByteTable {
 public:
  explicit ByteTable(std::span<const std::uint32_t> runs) : bytes_(0x110000) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const std::size_t first = runs[i] >> 8, last = i + 1 < runs.size() ? runs[i + 1] >> 8 : bytes_.size();
      for (std::size_t c = first; c < last; ++c) bytes_[c] = static_cast<std::uint8_t>(runs[i]);
    }
  }
  std::uint8_t operator[](char32_t c) const { return bytes_[c]; }

 private:
  std::vector<std::uint8_t> bytes_;
};

inline const ByteTable& general_table() {
  static const ByteTable table(general_runs);
  return table;
}
inline const ByteTable& break_table() {
  static const ByteTable table(break_runs);
  return table;
}

/// A set of general categories, for the patterns: kinds(Lu, Lt).has(c).
template <class... C>
constexpr std::uint32_t kinds(C... categories) {
  return ((std::uint32_t{1} << categories) | ...);
}
inline constexpr std::uint32_t letters = kinds(Lu, Ll, Lt, Lm, Lo), marks = kinds(Mn, Mc, Me), numbers = kinds(Nd, Nl, No),
                               punctuation = kinds(Pc, Pd, Ps, Pe, Pi, Pf, Po), symbols = kinds(Sm, Sc, Sk, So);
inline Category category(char32_t c) { return static_cast<Category>(general_table()[c] & 31); }
inline bool is(std::uint32_t categories, char32_t c) { return (categories >> category(c) & 1) != 0; }

/// White_Space, which all ages agree on.
inline bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
         c == 0x202f || c == 0x205f || c == 0x3000;
}
inline bool is_ascii_punctuation(char32_t c) {
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
}

// As the parts that ask see them, see scripts/make_unicode_tables.py.
inline bool is_punctuation(char32_t c) { return (general_table()[c] & 32) != 0; }
inline bool is_nonspacing_mark(char32_t c) { return (general_table()[c] & 64) != 0; }
inline bool is_other(char32_t c) { return (general_table()[c] & 128) != 0; }
inline bool is_word(char32_t c) { return (break_table()[c] & 64) != 0; }
inline bool is_combining_mark(char32_t c) { return (break_table()[c] & 128) != 0; }
inline bool is_numeric(char32_t c) {
  if (is(numbers, c)) return true;
  for (const std::uint32_t n : younger_numbers)
    if (n == c) return true;
  return false;
}

/// The blocks that BERT puts spaces around. U+2B820 to U+2B91F are not among them, as in its first implementation.
inline bool is_cjk(char32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) ||
         (c >= 0x2f800 && c <= 0x2fa1f);
}

inline void append_lower(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return;
  }
  if (c == 0x130) {  // the one character whose lower case is two
    out += "i\xcc\x87";
    return;
  }
  std::size_t low = 0, high = std::size(lower_runs) / 4;
  while (low < high) {  // the last run that begins at or before c
    const std::size_t middle = (low + high) / 2;
    if (char32_t(lower_runs[middle * 4]) <= c) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low > 0) {
    const std::int32_t* run = lower_runs + (low - 1) * 4;
    const auto x = static_cast<std::int32_t>(c);
    if (x <= run[1] && (x - run[0]) % run[2] == 0) c = static_cast<char32_t>(x + run[3]);
  }
  utf8::append(out, c);
}

}  // namespace espalier::inline v0::unicode
