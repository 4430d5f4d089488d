// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include <espalier/io/json_cursor.hpp>

namespace espalier::inline v0::utf8 {

/// Bytes of the character that begins with this byte, in text that is known to be UTF-8.
inline std::size_t length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/// The character at text[at], which moves behind it. The text is UTF-8.
inline char32_t next(std::string_view text, std::size_t& at) {
  const auto tail = [&](std::size_t i) { return char32_t(static_cast<unsigned char>(text[at + i]) & 63u); };
  const auto lead = static_cast<unsigned char>(text[at]);
  char32_t c = lead;
  if (lead < 0x80) return ++at, c;
  if (lead < 0xe0) {
    c = char32_t(lead & 31u) << 6 | tail(1), at += 2;
  } else if (lead < 0xf0) {
    c = char32_t(lead & 15u) << 12 | tail(1) << 6 | tail(2), at += 3;
  } else {
    c = char32_t(lead & 7u) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), at += 4;
  }
  return c;
}
/// The character at text[at].
inline char32_t at(std::string_view text, std::size_t at) { return next(text, at); }
/// Where the character that ends at `end` begins.
inline std::size_t begin_before(std::string_view text, std::size_t end) {
  do {
    --end;
  } while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80u);
  return end;
}

inline void append(std::string& out, char32_t c) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) return put(c);
  if (c < 0x800) return put(0xc0 | c >> 6), put(0x80 | (c & 63));
  if (c < 0x10000) return put(0xe0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
  put(0xf0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
}

inline std::u32string characters(std::string_view text) {
  std::u32string all;
  for (std::size_t i = 0; i < text.size();) all += next(text, i);
  return all;
}

/// The text with U+FFFD for whatever is not UTF-8: one for each byte that can begin nothing, one for the beginning of
/// a character that breaks off. What bytes.decode(errors="replace") of Python and from_utf8_lossy of Rust give.
///                                                      Unicode 16, section 3.9, substitution of maximal subparts
inline std::string replace_invalid(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    if (const std::size_t n = json::utf8_length(text, i); n > 0) {
      out.append(text.substr(i, n));
      i += n;
      continue;
    }
    const auto byte = [&](std::size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u; };
    const unsigned a = byte(i), b = byte(i + 1);
    const unsigned low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80, high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    std::size_t n = 1;
    if (a >= 0xe0 && a <= 0xf4 && b >= low && b <= high) {
      n = a >= 0xf0 && (byte(i + 2) & 0xc0u) == 0x80u ? 3 : 2;
    }
    out += "\xef\xbf\xbd";
    i += n;
  }
  return out;
}

}  // namespace espalier::inline v0::utf8
