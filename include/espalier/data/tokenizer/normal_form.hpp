// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <espalier/data/tokenizer/characters.hpp>

namespace espalier::inline v0::unicode {

/// Decompositions and compositions, looked up by character. Hangul is arithmetic.           Unicode 16, section 3.11, 3.12
class NormalForms {
 public:
  static const NormalForms& instance() {
    static const NormalForms forms;
    return forms;
  }

  std::uint8_t combining_class(char32_t c) const { return c < 0x300 ? 0 : classes_[c]; }

  void decompose(std::u32string& out, char32_t c, bool compatible) const {
    if (c < 0xa0) {
      out += c;
    } else if (c - kSyllables < kCount) {
      const char32_t s = c - kSyllables;
      out += kLeading + s / (kVowels * kTrailings);
      out += kVowel + s % (kVowels * kTrailings) / kTrailings;
      if (s % kTrailings != 0) out += kTrailing + s % kTrailings;
    } else if (const auto found = compatible ? compatible_.find(c) : canonical_.end(); compatible && found != compatible_.end()) {
      out.append(found->second.begin(), found->second.end());
    } else if (const auto exact = canonical_.find(c); exact != canonical_.end()) {
      out.append(exact->second.begin(), exact->second.end());
    } else {
      out += c;
    }
  }

  /// The composition of two characters, or 0.
  char32_t compose(char32_t a, char32_t b) const {
    if (a - kLeading < kLeadings && b - kVowel < kVowels)
      return kSyllables + ((a - kLeading) * kVowels + (b - kVowel)) * kTrailings;
    if (a - kSyllables < kCount && (a - kSyllables) % kTrailings == 0 && b > kTrailing && b < kTrailing + kTrailings)
      return a + (b - kTrailing);
    const auto found = compositions_.find(std::uint64_t{a} << 32 | b);
    return found == compositions_.end() ? 0 : found->second;
  }

 private:
  static constexpr char32_t kSyllables = 0xac00, kLeading = 0x1100, kVowel = 0x1161, kTrailing = 0x11a7;
  static constexpr char32_t kLeadings = 19, kVowels = 21, kTrailings = 28, kCount = 11172;
  using Table = std::unordered_map<char32_t, std::span<const std::uint32_t>>;

  NormalForms() : classes_(class_runs) {
    fill(canonical_, canonical_index, canonical_text);
    fill(compatible_, compatible_index, compatible_text);
    for (std::size_t i = 0; i < std::size(compositions); i += 3)
      compositions_[std::uint64_t{compositions[i]} << 32 | compositions[i + 1]] = compositions[i + 2];
  }
  static void fill(Table& table, std::span<const std::uint32_t> index, std::span<const std::uint32_t> text) {
    table.reserve(index.size());
    for (const std::uint32_t x : index) {
      table[x >> 5] = text.first(x & 31);
      text = text.subspan(x & 31);
    }
  }

  ByteTable classes_;
  Table canonical_, compatible_;
  std::unordered_map<std::uint64_t, char32_t> compositions_;
};

enum class NormalForm { c, d, kc, kd };

/// Decomposes, puts marks in the order of their classes, and for C composes again.                Unicode 16, chapter 3.11
inline std::string normalize(std::string_view text, NormalForm form) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return std::string(text);
  const NormalForms& forms = NormalForms::instance();
  std::u32string all;
  all.reserve(text.size());
  for (std::size_t i = 0; i < text.size();)
    forms.decompose(all, utf8::next(text, i), form == NormalForm::kc || form == NormalForm::kd);
  for (std::size_t i = 0; i < all.size();) {
    if (forms.combining_class(all[i]) == 0) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < all.size() && forms.combining_class(all[end]) != 0) ++end;
    std::stable_sort(all.begin() + std::ptrdiff_t(i), all.begin() + std::ptrdiff_t(end),
                     [&](char32_t a, char32_t b) { return forms.combining_class(a) < forms.combining_class(b); });
    i = end;
  }
  if (form == NormalForm::c || form == NormalForm::kc) {
    // A mark joins the last starter unless another of its class, or another starter, stands between.
    std::size_t written = 0, starter = all.size();
    int last_class = -1;  // of what was written behind the starter; -1: nothing was
    for (std::size_t i = 0; i < all.size(); ++i) {
      const char32_t c = all[i];
      const int own = forms.combining_class(c);
      if (starter < all.size() && (last_class < own || last_class == -1)) {
        if (const char32_t joined = forms.compose(all[starter], c); joined != 0) {
          all[starter] = joined;
          continue;
        }
      }
      if (own == 0) {
        starter = written, last_class = -1;
      } else {
        last_class = own;
      }
      all[written++] = c;
    }
    all.resize(written);
  }
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : all) utf8::append(out, c);
  return out;
}

}  // namespace espalier::inline v0::unicode
