// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0 {

/// Units on the outputs of a projection: output i belongs to unit (i / width) mod units, in forward and in backward.
template <class A>
struct OutputMask {
  View<const A, 1> forward{}, backward{};  // (units)
  Index width = 1;
  explicit operator bool() const { return bool(forward); }
};

namespace kernel {

// y(i, j) = x(i, j) mask(unit of j), per row.
template <class T, class A>
struct MaskOutputs {
  View<const T, 2> x;     // (rows, units * width), once or several times
  View<const A, 1> mask;  // (units)
  Index unit_width;
  View<T, 2> y;  // as x; may be x

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const T* const xi = x.row(i);
    T* const yi = y.row(i);
    const Index units = mask.shape[0];
    team.each(x.cols(), [&](Index j) { yi[j] = T(widen<A>(xi[j]) * mask(j / unit_width % units)); });
  }
};

// y(i, j) = x(i, j) + z(i, j) mask(unit of j), per row.
template <class T, class A>
struct AddMasked {
  View<const T, 2> x, z;  // (rows, units * width)
  View<const A, 1> mask;  // (units)
  Index unit_width;
  View<T, 2> y;  // as x

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const T *const xi = x.row(i), *const zi = z.row(i);
    T* const yi = y.row(i);
    const Index units = mask.shape[0];
    team.each(x.cols(), [&](Index j) { yi[j] = T(widen<A>(xi[j]) + widen<A>(zi[j]) * mask(j / unit_width % units)); });
  }
};

}  // namespace kernel
}  // namespace espalier::inline v0
