// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/backend/one_lane.hpp>
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>
#include <type_traits>

namespace espalier::inline v0 {

/// The verbs of a team of several members. Every member runs the whole kernel; a verb begins when all have arrived and
/// ends when all are done. What stands between verbs is done by everybody: it may read and compute, and it may store
/// only into variables of its own; whatever others shall see is stored in `each` or in `once`.
///
/// A Place says who one is and where all meet:
///   rank(), size()          this member, of how many: up to 1024, but where a kernel states kMembers it divides that
///   meet()                  returns when everybody has called it; what was stored before is seen by all afterwards
///   reduce(x, op)           op over the x of all members in one fixed order; the same result for everybody
///   scratch(bytes)          memory of the team
template <class Place>
struct DeviceTeam : Place {
  using Place::meet;
  using Place::rank;
  using Place::size;

  template <class F>
  ESPALIER_FN void each(Index n, F f) const {
    meet();
    for (Index i = rank(); i < n; i += size()) f(i);
    meet();
  }
  /// f() by one member.
  template <class F>
  ESPALIER_FN void once(F f) const {
    meet();
    if (rank() == 0) f();
    meet();
  }
  template <class F>
  ESPALIER_FN auto sum(Index n, F f) const {
    using T = std::remove_cvref_t<decltype(f(Index{}))>;
    meet();
    T own(0);
    for (Index i = rank(); i < n; i += size()) own += f(i);
    return Place::reduce(own, [](T a, T b) { return a + b; });
  }
  template <class F>
  ESPALIER_FN auto max(Index n, F f) const {
    using T = std::remove_cvref_t<decltype(f(Index{}))>;
    meet();
    T own = f(Index{0});
    for (Index i = rank(); i < n; i += size()) {
      const T x = f(i);
      own = x > own ? x : own;
    }
    return Place::reduce(own, [](T a, T b) { return b > a ? b : a; });
  }
  template <class T>
  ESPALIER_FN T* scratch(Index bytes) const {
    return reinterpret_cast<T*>(Place::scratch(bytes));
  }
  /// Caches look after themselves.
  template <class T>
  ESPALIER_FN void expect(const T*, Index) const {}

  /// c = a b + beta c on tiles that fit into scratch; beta == 0 never reads c.
  template <class T, class U, class V>
  ESPALIER_FN void multiply(View<const T, 2> a, View<const U, 2> b, V beta, View<V, 2> c) const {
    const Index cols = c.cols();
    each(c.rows() * cols, [&](Index n) {
      const Index i = n / cols, j = n % cols;
      V sum(0);
      for (Index k = 0; k < a.cols(); ++k) sum += widen<V>(a(i, k)) * widen<V>(b(k, j));
      c(i, j) = beta == V(0) ? sum : beta * c(i, j) + sum;
    });
  }
  /// f(i, j, x, y) with x = (a p)(i, j) and y = (b q)(i, j). Column j belongs to member j mod size, which goes down all
  /// rows in order: it may add to places of its own.
  template <class T, class F>
  ESPALIER_FN void multiply_both(View<const T, 2> a, View<const T, 2> p, View<const T, 2> b, View<const T, 2> q,
                                 F f) const {
    meet();
    for (Index j = rank(); j < p.cols(); j += size())
      for (Index i = 0; i < a.rows(); ++i) {
        T x(0), y(0);
        for (Index k = 0; k < a.cols(); ++k) x += a(i, k) * p(k, j);
        for (Index k = 0; k < b.cols(); ++k) y += b(i, k) * q(k, j);
        f(i, j, OneLane<T>{x}, OneLane<T>{y});
      }
    meet();
  }
  /// to = from: how a tile changes its place, its order and its type. Columns that from does not have become zero.
  template <class T, class V>
  ESPALIER_FN void copy(View<T, 2> from, View<V, 2> to) const {
    const Index cols = to.cols();
    each(to.rows() * cols, [&](Index n) {
      const Index i = n / cols, j = n % cols;
      to(i, j) = j < from.cols() ? V(widen<V>(from(i, j))) : V(0.0f);
    });
  }
};

}  // namespace espalier::inline v0
