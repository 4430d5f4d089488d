// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <string_view>

#include <espalier/data/tokenizer/characters.hpp>

namespace espalier::inline v0::unicode {

/// Where the extended grapheme cluster that begins at text[at] ends.                     Unicode 16, annex 29, GB3 to GB999
inline std::size_t cluster_end(std::string_view text, std::size_t at) {
  using enum Cluster;
  enum Conjunct { none, consonant, linker, extension };
  const ByteTable& table = break_table();
  const auto kind = [&](char32_t c) { return static_cast<Cluster>(table[c] & 15); };
  const auto conjunct = [&](char32_t c) { return static_cast<Conjunct>(table[c] >> 4 & 3); };

  char32_t c = utf8::next(text, at);
  Cluster before = kind(c);
  bool pictographic = before == pictograph;  // a pictograph and extensions so far
  bool after_joiner = false;                 // … and a joiner at the end
  bool odd_regional = before == regional;
  bool conjoins = conjunct(c) == consonant, linked = false;  // a consonant, extensions and a linker among them
  while (at < text.size()) {
    std::size_t end = at;
    c = utf8::next(text, end);
    const Cluster now = kind(c);
    const bool breaks_always = before == cr || before == lf || before == control || now == cr || now == lf || now == control;
    bool joins = false;
    if (breaks_always) {
      joins = before == cr && now == lf;
    } else if (now == extend || now == joiner || now == spacing || before == prepend) {
      joins = true;
    } else if (before == hangul_l) {
      joins = now == hangul_l || now == hangul_v || now == hangul_lv || now == hangul_lvt;
    } else if (before == hangul_lv || before == hangul_v) {
      joins = now == hangul_v || now == hangul_t;
    } else if (before == hangul_lvt || before == hangul_t) {
      joins = now == hangul_t;
    } else if (before == regional && now == regional) {
      joins = odd_regional;
    }
    joins = joins || (!breaks_always && ((conjoins && linked && conjunct(c) == consonant) || (after_joiner && now == pictograph)));
    if (!joins) return at;

    after_joiner = pictographic && now == joiner;
    pictographic = now == pictograph || (pictographic && now == extend);
    odd_regional = now == regional && !(before == regional && odd_regional);
    if (conjunct(c) == consonant) {
      conjoins = true, linked = false;
    } else if (conjunct(c) == linker) {
      linked = conjoins;
    } else if (conjunct(c) != extension) {
      conjoins = linked = false;
    }
    before = now;
    at = end;
  }
  return at;
}

}  // namespace espalier::inline v0::unicode
