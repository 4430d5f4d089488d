// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/view.hpp>

// Triangles of one block: what products alone do not do when a matrix is factored or inverted.
namespace espalier::inline v0::kernel {

// a = L Lᵀ, L over the lower triangle of a. A pivot that is not positive becomes a number that is none. One row.
template <class A>
struct CholeskyBlock {
  View<A, 2> a;  // (n, n)

  ESPALIER_FN Index width() const { return a.rows(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    using std::sqrt;
    const Index n = a.rows();
    for (Index k = 0; k < n; ++k) {
      team.each(n - k, [&](Index i) {
        A sum(0);
        for (Index m = 0; m < k; ++m) sum += a(k + i, m) * a(k, m);
        a(k + i, k) -= sum;
      });
      const A pivot = a(k, k), root = sqrt(pivot > A(0) ? pivot : A(-1));
      team.each(n - k, [&](Index i) { a(k + i, k) = i == 0 ? root : a(k + i, k) / root; });
    }
  }
};

// y = L⁻¹, one column at a time; L and y are lower triangles.
template <class A>
struct TriangleInverse {
  View<const A, 2> l;  // (n, n), what is above its diagonal is not read
  View<A, 2> y;        // (n, n)

  ESPALIER_FN void operator()(Index c) const {
    for (Index k = 0; k < y.rows(); ++k) {
      A sum(k == c ? 1.0f : 0.0f);
      for (Index m = c; m < k; ++m) sum -= l(k, m) * y(m, c);
      y(k, c) = k < c ? A(0) : sum / l(k, k);
    }
  }
};

// a(i, j) = 0 above the diagonal, per row.
template <class A>
struct LowerTriangle {
  View<A, 2> a;  // (n, n)

  ESPALIER_FN Index width() const { return a.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    team.each(a.cols() - i - 1, [&](Index j) { a(i, i + 1 + j) = A(0); });
  }
};

// to = from, per row: views with gaps.
template <class A>
struct CopyRows {
  View<const A, 2> from;
  View<A, 2> to;

  ESPALIER_FN Index width() const { return to.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    team.each(to.cols(), [&](Index j) { to(i, j) = from(i, j); });
  }
};

}  // namespace espalier::inline v0::kernel
