// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/data/tokenizer/pattern.hpp>

namespace espalier::inline v0::text {

/// A text cut into pieces. One that is a token already keeps its id and is not cut again.
struct Pieces {
  struct Piece {
    std::size_t begin, end;
    int id = -1;
    std::size_t lead = 0;  ///< bytes in front that stand for the first character of what was to be tokenized
  };
  std::string text;
  std::vector<Piece> all;

  std::string_view operator[](const Piece& p) const { return std::string_view(text).substr(p.begin, p.end - p.begin); }
};

/// What becomes of a match when a text is cut.
enum class Delimiter { removed, isolated, merged_with_previous, merged_with_next, contiguous };

inline Delimiter read_delimiter(std::string_view name) {
  constexpr std::string_view names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
  for (std::size_t i = 0; i < std::size(names); ++i)
    if (names[i] == name) return static_cast<Delimiter>(i);
  fail(Errc::unsupported, "behavior {} of a split is not known: expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous",
       printable(name));
}

/// Joins or leaves out stretches. A match is joined to its neighbour only if that is no match itself.
inline void join_stretches(std::vector<Stretch>& all, Delimiter delimiter) {
  std::vector<Stretch> out;
  bool before = false;
  const auto keep = [&](const Stretch& s) { out.push_back({s.begin, s.end, false}); };
  switch (delimiter) {
    case Delimiter::isolated: return;
    case Delimiter::removed: std::erase_if(all, [](const Stretch& s) { return s.match; }); return;
    case Delimiter::contiguous:
    case Delimiter::merged_with_previous:
      for (const Stretch& s : all) {
        const bool joins = delimiter == Delimiter::contiguous ? s.match == before : s.match && !before;
        if (joins && !out.empty()) {
          out.back().end = s.end;
        } else {
          keep(s);
        }
        before = s.match;
      }
      break;
    case Delimiter::merged_with_next:
      for (std::size_t i = all.size(); i-- > 0;) {
        if (all[i].match && !before && !out.empty()) {
          out.back().begin = all[i].begin;
        } else {
          keep(all[i]);
        }
        before = all[i].match;
      }
      std::reverse(out.begin(), out.end());
      break;
  }
  all = std::move(out);
}

/// Cuts every piece that is no token yet. `find(text, stretches)` lists matches and what lies between.
template <class Find>
void cut(Pieces& pieces, Delimiter delimiter, const Find& find) {
  std::vector<Pieces::Piece> out;
  std::vector<Stretch> stretches;
  out.reserve(pieces.all.size());
  for (const Pieces::Piece& piece : pieces.all) {
    if (piece.id >= 0) {
      out.push_back(piece);
      continue;
    }
    find(pieces[piece], stretches);
    join_stretches(stretches, delimiter);
    for (const Stretch& s : stretches)
      if (s.end > s.begin) out.push_back({piece.begin + s.begin, piece.begin + s.end, -1, piece.lead - std::min(piece.lead, s.begin)});
  }
  pieces.all = std::move(out);
}

/// Stretches where each character that satisfies `wanted` is a match of its own.
template <class Wanted>
void find_characters(std::string_view text, const Wanted& wanted, std::vector<Stretch>& out) {
  out.clear();
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    if (!wanted(utf8::next(text, at))) continue;
    if (begin > done) out.push_back({done, begin, false});
    out.push_back({begin, at, true});
    done = at;
  }
  if (done < text.size()) out.push_back({done, text.size(), false});
}

/// Writes every piece that is no token yet anew: `write(out, text, piece)`.
template <class Write>
void rewrite(Pieces& pieces, const Write& write) {
  std::string out;
  out.reserve(pieces.text.size() + pieces.text.size() / 4);
  for (Pieces::Piece& piece : pieces.all) {
    const std::size_t begin = out.size();
    piece.id >= 0 ? void(out += pieces[piece]) : write(out, pieces[piece], piece);
    piece.begin = begin, piece.end = out.size();
  }
  pieces.text = std::move(out);
}

}  // namespace espalier::inline v0::text
