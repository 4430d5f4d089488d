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

// y += x
template <class T>
struct Accumulate {
  const T* x;
  T* y;
  ESPALIER_FN void operator()(Index i) const { y[i] += x[i]; }
};

// y = a + b
template <class T>
struct Add {
  const T *a, *b;
  T* y;
  ESPALIER_FN void operator()(Index i) const { y[i] = a[i] + b[i]; }
};

// y(i, :) += bias, per row.
template <class T, class A>
struct AddBias {
  View<const A, 1> bias;  // (cols)
  View<T, 2> y;           // (rows, cols)
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    T* const yi = y.row(i);
    const A* const b = bias.data;
    team.each(y.cols(), [&](Index j) { yi[j] += T(b[j]); });
  }
};

// y = x∘M, the mask of unit j / width on column j, per row. Its own adjoint.
template <class T, class A>
struct MaskColumns {
  View<const T, 2> x;     // (rows, units * width)
  View<const A, 1> mask;  // (units)
  Index width;
  View<T, 2> y;  // (rows, units * width)
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    for (Index u = 0; u < mask.shape[0]; ++u) {
      const T m = T(mask(u));
      team.each(width, [&](Index j) { y(i, u * width + j) = x(i, u * width + j) * m; });
    }
  }
};

}  // namespace espalier::inline v0::kernel
