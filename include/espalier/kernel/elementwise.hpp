// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

// One number at a time. Dense operands are flat pointers: no division per element, and loops vectorise.
namespace espalier::inline v0::kernel {

template <class T>
struct Fill {
  T* x;
  T value;
  ESPALIER_FN void operator()(Index i) const { x[i] = value; }
};

template <class To, class From>
struct Copy {
  const From* x;
  To* y;
  ESPALIER_FN void operator()(Index i) const { y[i] = widen<To>(x[i]); }
};

// x ← factor x
template <class A>
struct Scale {
  A* x;
  A factor;
  ESPALIER_FN void operator()(Index i) const { x[i] = factor * x[i]; }
};

// y += x
template <class T>
struct Accumulate {
  const T* x;
  T* y;
  ESPALIER_FN void operator()(Index i) const { y[i] = T(widen<Wide<T>>(y[i]) + widen<Wide<T>>(x[i])); }
};

// x ← x + d, rounded to what x is stored in, once.
template <class T, class A>
struct AddStored {
  const A* d;
  T* x;
  ESPALIER_FN void operator()(Index i) const { x[i] = T(widen<A>(x[i]) + d[i]); }
};

// y(i, :) += x(i, :), per row: rows need not lie one behind the other.
template <class T>
struct AccumulateRows {
  View<const T, 2> x;  // (rows, cols)
  View<T, 2> y;        // (rows, cols)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const T* const xi = x.row(i);
    T* const yi = y.row(i);
    team.each(y.cols(), [&](Index j) { yi[j] = T(widen<Wide<T>>(yi[j]) + widen<Wide<T>>(xi[j])); });
  }
};

// y(i, :) += bias, per row.
template <class T, class A>
struct AddBias {
  View<const A, 1> bias;  // (cols)
  View<T, 2> y;           // (rows, cols)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    T* const yi = y.row(i);
    const A* const b = bias.data;
    team.each(y.cols(), [&](Index j) { yi[j] = T(widen<A>(yi[j]) + b[j]); });
  }
};

}  // namespace espalier::inline v0::kernel
