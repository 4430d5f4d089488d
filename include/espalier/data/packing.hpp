// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <espalier/core/config.hpp>
#include <espalier/data/token_list.hpp>

namespace espalier::inline v0 {

/// What a window holds.
enum class Packing {
  none,       ///< a document, or a part of one; what is left is padding. A text without documents is cut as it comes
  documents,  ///< as many documents as fit, none of which sees another, each with positions of its own
};

/// Ids that are fed, [first, last); the target of id i is i + 1.
struct Piece {
  Index first, last;
  Index size() const { return last - first; }
};

/// Documents cut into pieces of at most `length`, each of which stands for itself: every token but a document's first is
/// predicted once, from what its piece holds before it. The last token of a document is fed to nobody.
inline std::vector<Piece> pieces_of(const Tokens& t, Index length) {
  std::vector<Piece> pieces;
  for (Index d = 0; d < t.documents(); ++d)
    for (Index i = t.begin_of(d), end = t.ends[std::size_t(d)]; i + 1 < end; i += length)
      pieces.push_back({i, std::min(i + length, end - 1)});
  return pieces;
}

/// Pieces row by row.
struct PackedRows {
  std::vector<Piece> pieces;
  std::vector<Index> ends;  // where each row ends in `pieces`

  Index rows() const { return Index(ends.size()); }
  std::span<const Piece> row(Index number) const {
    const auto begin = number == 0 ? Index{0} : ends[std::size_t(number - 1)];
    return std::span(pieces).subspan(std::size_t(begin), std::size_t(ends[std::size_t(number)] - begin));
  }
};

/// The longest piece first, each into the row that it fills best, and into a new one where none has room: at most 22 % more
/// rows than need be. A function of the lengths alone; of equal ones the earlier comes first.     Johnson et al. 1974
inline PackedRows packed(const std::vector<Piece>& pieces, Index length) {
  std::vector<std::size_t> order(pieces.size()), row(pieces.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return pieces[a].size() > pieces[b].size(); });
  std::map<Index, std::vector<std::size_t>> with_room;
  PackedRows all;
  for (const std::size_t p : order) {
    const Index size = pieces[p].size();
    const auto found = with_room.lower_bound(size);
    Index room = length;
    if (found == with_room.end()) {
      row[p] = all.ends.size(), all.ends.push_back(0);
    } else {
      room = found->first, row[p] = found->second.back();
      found->second.pop_back();
      if (found->second.empty()) with_room.erase(found);
    }
    ++all.ends[row[p]];
    if (room > size) with_room[room - size].push_back(row[p]);
  }
  std::vector<std::size_t> next(all.ends.size());
  for (std::size_t r = 0, end = 0; r < next.size(); ++r) {
    next[r] = end, end += std::size_t(all.ends[r]);
    all.ends[r] = Index(end);
  }
  all.pieces.resize(pieces.size());
  for (const std::size_t p : order) all.pieces[next[row[p]]++] = pieces[p];
  return all;
}

}  // namespace espalier::inline v0
