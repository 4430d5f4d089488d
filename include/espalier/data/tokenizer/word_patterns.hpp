// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <espalier/data/tokenizer/characters.hpp>

namespace espalier::inline v0::text {

/// What the published patterns of byte-level models are put together from. Each looks at text[at] and answers where its
/// match ends; `at` itself: it does not match there. Greedy, with the result that giving back would have had.
namespace words {

inline bool newline(char32_t c) { return c == '\r' || c == '\n'; }

/// Where the characters that satisfy `wanted` end, but at most `most` of them.
template <class Wanted>
std::size_t run(std::string_view text, std::size_t at, const Wanted& wanted, std::size_t most = std::size_t(-1)) {
  for (std::size_t i = at; i < text.size() && most > 0; at = i, --most)
    if (!wanted(utf8::next(text, i))) break;
  return at;
}
/// first?rest+
template <class First, class Rest>
std::size_t led_run(std::string_view text, std::size_t at, const First& first, const Rest& rest) {
  std::size_t second = at;
  if (first(utf8::next(text, second)))
    if (const std::size_t end = run(text, second, rest); end > second) return end;
  return run(text, at, rest);
}

/// 's|'t|'re|'ve|'m|'ll|'d. Without regard to case U+017F is an s.
inline std::size_t contraction(std::string_view text, std::size_t at, bool any_case) {
  if (at + 1 >= text.size() || text[at] != '\'') return at;
  const auto letter = [&](std::size_t i) {
    const char c = i < text.size() ? text[i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  };
  const char a = letter(at + 1), b = letter(at + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return at + 3;
  if (any_case && text.substr(at + 1).starts_with("\xc5\xbf")) return at + 3;
  return at;
}

/// \s+(?!\S)|\s+
inline std::size_t spaces(std::string_view text, std::size_t at) {
  const std::size_t end = run(text, at, unicode::is_space);
  if (end == at || end == text.size()) return end;
  const std::size_t last = utf8::begin_before(text, end);
  return last > at ? last : end;
}
/// \s*[\r\n]+|\s+(?!\S)|\s+
inline std::size_t lines_or_spaces(std::string_view text, std::size_t at) {
  const std::size_t end = run(text, at, unicode::is_space);
  const auto last = text.substr(at, end - at).find_last_of("\r\n");
  return last == std::string_view::npos ? spaces(text, at) : at + last + 1;
}

/// GPT-2: a word, number or signs, each with the space before it.                                    Radford et al. 2019
inline std::size_t gpt2(std::string_view text, std::size_t at) {
  using namespace unicode;
  if (const std::size_t end = contraction(text, at, false); end > at) return end;
  const std::size_t body = at + (text[at] == ' ' ? 1 : 0);
  if (body < text.size()) {
    const auto same = [&](std::uint32_t kind) { return run(text, body, [&](char32_t c) { return is(kind, c); }); };
    if (const std::size_t end = same(letters); end > body) return end;
    if (const std::size_t end = same(numbers); end > body) return end;
    const std::size_t end = run(text, body, [](char32_t c) { return !is_space(c) && !is(letters | numbers, c); });
    if (end > body) return end;
  }
  return spaces(text, at);
}

/// CLIP: words, single digits and signs, without spaces.
inline std::size_t clip(std::string_view text, std::size_t at) {
  using namespace unicode;
  if (const std::size_t end = contraction(text, at, false); end > at) return end;
  if (const std::size_t end = run(text, at, [](char32_t c) { return is(letters, c); }); end > at) return end;
  if (const std::size_t end = run(text, at, [](char32_t c) { return is(numbers, c); }, 1); end > at) return end;
  return run(text, at, [](char32_t c) { return !is_space(c) && !is(letters | numbers, c); });
}

/// cl100k (GPT-4, Llama 3: 3 digits; Qwen2: 1) and its form for scripts that write vowels as marks (Qwen3.5).
inline std::size_t cl100k(std::string_view text, std::size_t at, std::size_t digits, std::uint32_t word) {
  using namespace unicode;
  if (const std::size_t end = contraction(text, at, true); end > at) return end;
  const auto lead = [](char32_t c) { return !newline(c) && !is(letters | numbers, c); };
  const auto in_word = [&](char32_t c) { return is(word, c); };
  if (const std::size_t end = led_run(text, at, lead, in_word); end > at) return end;
  if (const std::size_t end = run(text, at, [](char32_t c) { return is(numbers, c); }, digits); end > at) return end;
  const auto sign = [&](char32_t c) { return !is_space(c) && !is(word | numbers, c); };
  const std::size_t end = led_run(text, at, [](char32_t c) { return c == ' '; }, sign);
  return end > at ? run(text, end, newline) : lines_or_spaces(text, at);
}

/// The words of o200k: capitals and then small letters, [U]*[l]+ or [U]+[l]*, where letters without case are both.
inline std::size_t cased_word(std::string_view text, std::size_t at, bool needs_small) {
  using namespace unicode;
  constexpr std::uint32_t both = kinds(Lm, Lo) | marks, capital = kinds(Lu, Lt) | both, small_letter = kinds(Ll) | both;
  const auto is_small = [](char32_t c) { return is(small_letter, c); };
  const std::size_t capitals = run(text, at, [](char32_t c) { return is(capital, c); });
  const std::size_t end = run(text, capitals, is_small);
  if (!needs_small) return capitals > at ? end : at;
  if (end > capitals) return end;
  for (std::size_t i = capitals; i > at;) {  // the last one that can be either is the small letter
    const std::size_t last = i;
    i = utf8::begin_before(text, i);
    if (is(both, utf8::at(text, i))) return last;
  }
  return at;
}

/// o200k (GPT-4o: 3 digits, contractions stay with their word) and Mistral's Tekken (1 digit, no contractions).
inline std::size_t o200k(std::string_view text, std::size_t at, std::size_t digits, bool contractions) {
  using namespace unicode;
  std::size_t second = at;
  const char32_t first = utf8::next(text, second);
  for (const bool needs_small : {true, false}) {
    std::size_t begin = at, end = at;
    if (!newline(first) && !is(letters | numbers, first)) end = cased_word(text, begin = second, needs_small);
    if (end <= begin) end = cased_word(text, begin = at, needs_small);
    if (end > begin) return contractions ? contraction(text, end, true) : end;
  }
  if (const std::size_t end = run(text, at, [](char32_t c) { return is(numbers, c); }, digits); end > at) return end;
  const auto sign = [](char32_t c) { return !is_space(c) && !is(letters | numbers, c); };
  const std::size_t end = led_run(text, at, [](char32_t c) { return c == ' '; }, sign);
  return end > at ? run(text, end, [](char32_t c) { return newline(c) || c == '/'; }) : lines_or_spaces(text, at);
}

/// DeepSeek-V3, behind splits at numbers and at Chinese and Japanese.
inline std::size_t deepseek(std::string_view text, std::size_t at) {
  using namespace unicode;
  const auto latin = [](char32_t c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  if (is_ascii_punctuation(static_cast<unsigned char>(text[at])))
    if (const std::size_t end = run(text, at + 1, latin); end > at + 1) return end;
  const auto lead = [](char32_t c) { return !newline(c) && !is(letters | punctuation | symbols, c); };
  const auto in_word = [](char32_t c) { return is(letters | marks, c); };
  if (const std::size_t end = led_run(text, at, lead, in_word); end > at) return end;
  const auto sign = [](char32_t c) { return is(punctuation | symbols, c); };
  const std::size_t end = led_run(text, at, [](char32_t c) { return c == ' '; }, sign);
  return end > at ? run(text, end, newline) : lines_or_spaces(text, at);
}

/// BLOOM: everything but spaces and some punctuation of many scripts, with the space before it.
inline std::size_t bloom(std::string_view text, std::size_t at) {
  const auto inside = [](char32_t c) {
    constexpr std::u32string_view outside = U"(|).,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c";
    return !unicode::is_space(c) && outside.find(c) == std::u32string_view::npos;
  };
  return led_run(text, at, [](char32_t c) { return c == ' '; }, inside);
}

}  // namespace words

}  // namespace espalier::inline v0::text
