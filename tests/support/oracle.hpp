// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/backend/host.hpp>
#include <espalier/core/backend.hpp>

namespace espalier::test {

/// The definition: plain loops over any field, std::complex included. Slow, obvious, trusted.
template <class T>
struct Oracle {
  using Weight = T;
  using Activation = T;
  using Accumulate = T;
  template <class U>
  using Buffer = HostBuffer<U>;

  template <class F>
  void for_each(Index n, F f) {
    for (Index i = 0; i < n; ++i) f(i);
  }
  template <class F>
  void for_each_row(Index n, F f) {
    HostTeam team;
    for (Index i = 0; i < n; ++i) f(team, i);
  }
  void gemm(T alpha, View<const T, 2> a, View<const T, 2> b, T beta, View<T, 2> c) {
    for (Index i = 0; i < c.rows(); ++i)
      for (Index j = 0; j < c.cols(); ++j) {
        T s{};
        for (Index k = 0; k < a.cols(); ++k) s += a(i, k) * b(k, j);
        c(i, j) = alpha * s + (beta == T(0) ? T(0) : beta * c(i, j));
      }
  }
  void gemm(T alpha, View<const T, 3> a, View<const T, 3> b, T beta, View<T, 3> c) {
    const auto plane = [](auto v, Index n) {
      return View<std::remove_reference_t<decltype(*v.data)>, 2>{
          v.data + n * v.stride[0], {v.shape[1], v.shape[2]}, {v.stride[1], v.stride[2]}};
    };
    for (Index n = 0; n < c.shape[0]; ++n) gemm(alpha, plane(a, n), plane(b, n), beta, plane(c, n));
  }
  template <class U>
  void upload(U* to, const U* from, Index n) {
    std::copy_n(from, n, to);
  }
  template <class U>
  void download(const U* from, U* to, Index n) {
    std::copy_n(from, n, to);
  }
  template <class F>
  void record(F&& f) {
    f();
  }
};

}  // namespace espalier::test
