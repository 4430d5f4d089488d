// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// y(i, :) = table(token(i), :) + position(at(i), :), per row; at(i) is i mod seq unless it is given.
template <class T, class W>
struct EmbedWithPosition {
  View<const W, 2> table, position;  // (vocab, width), (positions, width)
  const int* tokens;                 // (rows)
  Index seq;
  View<T, 2> y;  // (rows, width)
  const int* at = nullptr;  // (rows), or null

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const W *const from = table.row(tokens[i]), *const here = position.row(at != nullptr ? at[i] : i % seq);
    T* const yi = y.row(i);
    team.each(y.cols(), [&](Index j) { yi[j] = T(widen<Wide>(from[j]) + widen<Wide>(here[j])); });
  }

 private:
  /// What two stored numbers are added in.
  using Wide = decltype(W() + W());
};

}  // namespace espalier::inline v0::kernel
