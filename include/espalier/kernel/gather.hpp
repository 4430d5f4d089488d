// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// y(i, :) = table(token(i), :), per row.
template <class T, class W>
struct Embed {
  View<const W, 2> table;  // (vocab, width)
  const int* tokens;       // (rows)
  View<T, 2> y;            // (rows, width)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const W* const from = table.row(tokens[i]);
    T* const yi = y.row(i);
    team.each(y.cols(), [&](Index j) { yi[j] = widen<T>(from[j]); });
  }
};

// y(i, j) = x(rows[i], columns[j]), per row; an absent list keeps everything.
template <class T>
struct Gather {
  View<const T, 2> x;
  const int *rows, *columns;
  View<T, 2> y;

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const Index from = rows ? rows[i] : i;
    team.each(y.cols(), [&](Index j) { y(i, j) = x(from, columns ? columns[j] : j); });
  }
};

}  // namespace espalier::inline v0::kernel
