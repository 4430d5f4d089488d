// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/core/error.hpp>
#include <espalier/data/tokenizer/grapheme.hpp>

namespace espalier::inline v0::text {

/// Base64 with padding.                                                                                  RFC 4648, section 4
inline std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<signed char, 256> value;
  value.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) value[static_cast<unsigned char>(alphabet[i])] = static_cast<signed char>(i);
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const bool padded = i + k >= text.size() - padding;
      const int v = padded ? 0 : value[static_cast<unsigned char>(text[i + k])];
      if (v < 0) return std::nullopt;
      word = word << 6 | static_cast<std::uint32_t>(v);
    }
    for (const int shift : {16, 8, 0}) out += static_cast<char>(word >> shift & 255);
  }
  out.resize(out.size() - padding);
  return out;
}

/// SentencePiece's table of replacements: a double-array trie from text to an offset into a list of strings that end in
/// a zero byte. A unit is 32 bits: label 0–7, leaf below 8, extended offset 9, offset 10–30; a leaf's value 0–30.
///                                             SentencePiece, normalizer.cc; Yata et al., "Darts-clone"
class Charsmap {
 public:
  /// `blob`: bytes of the trie (32 bits), the trie, the strings.
  explicit Charsmap(std::string_view blob) {
    const auto refuse = [](std::string_view why) { fail(Errc::bad_input, "precompiled_charsmap: {}", why); };
    if (blob.size() < 4) refuse("less than 4 bytes");
    const std::uint32_t bytes = word(blob, 0);
    if (bytes == 0 || bytes % 4 != 0 || bytes > blob.size() - 4) {
      fail(Errc::bad_input, "precompiled_charsmap: a trie of {} bytes in a table of {}", bytes, blob.size());
    }
    units_.resize(bytes / 4);
    for (std::size_t i = 0; i < units_.size(); ++i) units_[i] = word(blob, 4 + i * 4);
    strings_ = blob.substr(4 + bytes);
    if (!json::is_utf8(strings_)) refuse("the replacements are not UTF-8");
  }

  /// What stands for the text: looked up by grapheme clusters below 6 bytes, of which any beginning may match and then
  /// stands for the whole, else by characters.
  std::string operator()(std::string_view text) const {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = unicode::cluster_end(text, at);
      const std::string_view cluster = text.substr(at, end - at);
      at = end;
      if (cluster.size() < 6) {
        if (const auto found = find(cluster)) {
          out += *found;
          continue;
        }
      }
      for (std::size_t i = 0; i < cluster.size();) {
        const std::string_view character = cluster.substr(i, utf8::length(cluster[i]));
        const auto found = find(character);
        out += found ? *found : character;
        i += character.size();
      }
    }
    return out;
  }

 private:
  static std::uint32_t word(std::string_view blob, std::size_t at) {
    std::uint32_t x = 0;
    for (std::size_t i = 0; i < 4; ++i) x |= std::uint32_t{static_cast<unsigned char>(blob[at + i])} << (8 * i);
    return x;
  }
  static std::size_t offset(std::uint32_t unit) { return std::size_t{unit >> 10} << ((unit & 512u) >> 6); }

  /// The replacement of the shortest beginning of `key` that has one.
  std::optional<std::string_view> find(std::string_view key) const {
    std::size_t at = offset(units_[0]);
    for (const char c : key) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte == 0) break;
      at ^= byte;
      if (at >= units_.size()) break;
      const std::uint32_t unit = units_[at];
      if ((unit & 0x800000ffu) != byte) break;
      at ^= offset(unit);
      if (at >= units_.size()) break;
      if ((unit >> 8 & 1) != 0) return replacement(units_[at] & 0x7fffffffu);
    }
    return std::nullopt;
  }
  std::string_view replacement(std::size_t begin) const {
    if (begin > strings_.size() || (begin < strings_.size() && (static_cast<unsigned char>(strings_[begin]) & 0xc0u) == 0x80u)) {
      fail(Errc::bad_input, "precompiled_charsmap: a replacement at byte {} of {}", begin, strings_.size());
    }
    const std::string_view rest = std::string_view(strings_).substr(begin);
    return rest.substr(0, rest.find('\0'));
  }

  std::vector<std::uint32_t> units_;
  std::string strings_;
};

}  // namespace espalier::inline v0::text
