// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// y(i, :) = table(token(i), :) + segment(kind(i), :) + position(at(i), :), per row.                    Devlin et al. 2018
template <class T, class W>
struct EmbedWithSegment {
  View<const W, 2> table, segment, position;  // (vocab, width), (kinds, width), (positions, width)
  const int *tokens, *kinds, *at;             // (rows); no kinds: all 0
  View<T, 2> y;                               // (rows, width)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const W *const from = table.row(tokens[i]), *const kind = segment.row(kinds == nullptr ? 0 : kinds[i]),
                  *const place = position.row(at[i]);
    T* const yi = y.row(i);
    team.each(y.cols(), [&](Index j) { yi[j] = T(widen<Sum>(from[j]) + widen<Sum>(kind[j]) + widen<Sum>(place[j])); });
  }

 private:
  /// What stored numbers are added in.
  using Sum = decltype(W() + W());
};

}  // namespace espalier::inline v0::kernel
