// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// y(i, :) = table(token(i), :) + segment(kind(i), :) + position(at(i), :), per row; a table without data adds nothing.
//                                                                                                    Devlin et al. 2018
template <class T, class W>
struct EmbedWithSegment {
  View<const W, 2> table, segment, position;  // (vocab, width), (kinds, width), (positions, width)
  const int *tokens, *kinds, *at;             // (rows); no kinds: all 0
  View<T, 2> y;                               // (rows, width)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const W *const from = table.row(tokens[i]),
                  *const kind = segment ? segment.row(kinds == nullptr ? 0 : kinds[i]) : nullptr,
                  *const place = position ? position.row(at[i]) : nullptr;
    T* const yi = y.row(i);
    team.each(y.cols(), [&](Index j) {
      Sum sum = widen<Sum>(from[j]);
      if (kind != nullptr) sum += widen<Sum>(kind[j]);
      if (place != nullptr) sum += widen<Sum>(place[j]);
      yi[j] = T(sum);
    });
  }

 private:
  /// What stored numbers are added in.
  using Sum = decltype(W() + W());
};

}  // namespace espalier::inline v0::kernel
