// SPDX-License-Identifier: MIT
#pragma once
// The only header that includes Eigen. Eigen is a set of verbs here, never a data model: our threads, our tiles.
#if defined(__CUDACC__)
#error "backend/cpu.hpp in a .cu file would compile Eigen without SIMD: put host code into a .cpp"
#endif
#ifndef EIGEN_DONT_PARALLELIZE
#define EIGEN_DONT_PARALLELIZE
#endif
#include <Eigen/Core>
#include <algorithm>
#include <concepts>
#include <espalier/backend/host.hpp>
#include <espalier/core/backend.hpp>
#include <espalier/core/dtype.hpp>

static_assert(EIGEN_VERSION_AT_LEAST(3, 4, 0), "espalier needs Eigen 3.4 or newer");

namespace espalier::inline v0 {
namespace detail {

template <int Order, class U>
auto eigen(View<U, 2> v) {
  using Plain = Eigen::Matrix<std::remove_const_t<U>, Eigen::Dynamic, Eigen::Dynamic, Order>;
  using Element = std::conditional_t<std::is_const_v<U>, const Plain, Plain>;
  return Eigen::Map<Element, Eigen::Unaligned, Eigen::OuterStride<>>(
      v.data, v.rows(), v.cols(), Eigen::OuterStride<>(Order == Eigen::RowMajor ? v.stride[0] : v.stride[1]));
}

/// c += alpha a b on one tile, in K-blocks of 1024 bytes: the order of summation never depends on caches or threads.
template <class T>
void multiply_add(T alpha, View<const T, 2> a, View<const T, 2> b, View<T, 2> c) {
  constexpr Index kBlock = 1024 / Index(sizeof(T));
  auto out = eigen<Eigen::RowMajor>(c);
  const bool ta = a.stride[1] != 1 && a.cols() != 1, tb = b.stride[1] != 1 && b.cols() != 1;
  for (Index k = 0; k < a.cols(); k += kBlock) {
    const Index depth = std::min(kBlock, a.cols() - k);
    const auto x = a.cols(k, depth);
    const auto y = b.rows(k, depth);
    if (!ta && !tb) {
      out.noalias() += alpha * eigen<Eigen::RowMajor>(x) * eigen<Eigen::RowMajor>(y);
    } else if (!ta) {
      out.noalias() += alpha * eigen<Eigen::RowMajor>(x) * eigen<Eigen::ColMajor>(y);
    } else if (!tb) {
      out.noalias() += alpha * eigen<Eigen::ColMajor>(x) * eigen<Eigen::RowMajor>(y);
    } else {
      out.noalias() += alpha * eigen<Eigen::ColMajor>(x) * eigen<Eigen::ColMajor>(y);
    }
  }
}

/// The one place where Eigen's products are instantiated: a program may link espalier::precompiled instead.
template <class T>
void multiply(T alpha, View<const T, 2> a, View<const T, 2> b, T beta, View<T, 2> c);

/// Output tiles: a function of the shape alone, small enough that two tiles' panels stay on the stack.
struct Tiles {
  Index height = 128, width = 128, down, across;
  Tiles(Index rows, Index cols) {
    const auto count = [&] {
      down = (rows + height - 1) / height, across = (cols + width - 1) / width;
      return down * across;
    };
    while (count() < 8 && (width > 32 || height > 32)) {
      if (cols > rows ? width > 32 : height <= 32) width /= 2; else height /= 2;
    }
  }
};

template <class T, class F>
void for_each_tile(View<T, 2> c, Index depth, F f) {
  const Tiles tiles(c.rows(), c.cols());
  ESPALIER_OMP(parallel for schedule(static) if (c.rows() * c.cols() * depth > 65536))
  for (Index n = 0; n < tiles.down * tiles.across; ++n) {
    const Index i = n / tiles.across * tiles.height, j = n % tiles.across * tiles.width;
    const Index rows = std::min(tiles.height, c.rows() - i), cols = std::min(tiles.width, c.cols() - j);
    f(i, rows, j, cols, c.rows(i, rows).cols(j, cols));
  }
}

template <class T>
void scale(T beta, View<T, 2> c) {
  auto out = eigen<Eigen::RowMajor>(c);
  if (beta == T(0)) {
    out.setZero();
  } else if (beta != T(1)) {
    out *= beta;
  }
}

template <class T>
void multiply(T alpha, View<const T, 2> a, View<const T, 2> b, T beta, View<T, 2> c) {
  for_each_tile(c, a.cols(), [&](Index i, Index rows, Index j, Index cols, View<T, 2> tile) {
    scale(beta, tile);
    multiply_add<T>(alpha, a.rows(i, rows), b.cols(j, cols), tile);
  });
}

/// Widens a panel of a stored weight, keeping the order in which it lies.
template <class T, class W>
View<T, 2> widen_panel(View<const W, 2> from, T* to) {
  const bool by_column = from.stride[1] != 1 && from.cols() != 1;
  const View<const W, 2> lines = by_column ? from.t() : from;
  for (Index p = 0; p < lines.rows(); ++p)
    for (Index q = 0; q < lines.cols(); ++q) to[p * lines.cols() + q] = widen<T>(lines.data[p * lines.stride[0] + q]);
  const auto panel = matrix(to, lines.rows(), lines.cols());
  return by_column ? panel.t() : panel;
}

template <class T, class W>
void multiply_stored(T alpha, View<const T, 2> a, View<const W, 2> b, T beta, View<T, 2> c) {
  constexpr Index kBlock = 1024 / Index(sizeof(T));
  for_each_tile(c, a.cols(), [&](Index i, Index rows, Index j, Index cols, View<T, 2> tile) {
    alignas(64) T panel[kBlock * 128];
    scale(beta, tile);
    for (Index k = 0; k < a.cols(); k += kBlock) {
      const Index depth = std::min(kBlock, a.cols() - k);
      multiply_add<T>(alpha, a.rows(i, rows).cols(k, depth), widen_panel(b.rows(k, depth).cols(j, cols), panel), tile);
    }
  });
}

#if defined(ESPALIER_PRECOMPILED)
extern template void multiply<float>(float, View<const float, 2>, View<const float, 2>, float, View<float, 2>);
extern template void multiply<double>(double, View<const double, 2>, View<const double, 2>, double, View<double, 2>);
extern template void multiply_add<float>(float, View<const float, 2>, View<const float, 2>, View<float, 2>);
extern template void multiply_add<double>(double, View<const double, 2>, View<const double, 2>, View<double, 2>);
#endif

}  // namespace detail

/// The CPU: Eigen for products, OpenMP above a grain. Results have the same bits for any number of threads: tiles,
/// K-blocks, chunks and lanes depend on shapes alone.
template <class T = float, class WeightType = T>
class Cpu {
 public:
  using Weight = WeightType;
  using Activation = T;
  using Accumulate = T;
  template <class U>
  using Buffer = HostBuffer<U>;

  template <class F>
  void for_each(Index n, F f) {
    constexpr Index kChunk = 4096;
    const Index chunks = (n + kChunk - 1) / kChunk;
    ESPALIER_OMP(parallel for schedule(static) if (chunks > 4))
    for (Index c = 0; c < chunks; ++c) {
      const Index last = std::min(n, (c + 1) * kChunk);
      ESPALIER_OMP(simd)
      for (Index i = c * kChunk; i < last; ++i) f(i);
    }
  }

  template <class F>
  void for_each_row(Index n, F f) {
    ESPALIER_OMP(parallel for schedule(static) if (n > 16))
    for (Index i = 0; i < n; ++i) {
      HostTeam team;
      f(team, i);
    }
  }

  void gemm(T alpha, View<const T, 2> a, View<const T, 2> b, T beta, View<T, 2> c) {
    detail::multiply<T>(alpha, a, b, beta, c);
  }
  /// b is widened panel by panel: no copy of the weight ever exists.
  void gemm(T alpha, View<const T, 2> a, View<const Weight, 2> b, T beta, View<T, 2> c)
    requires(!std::same_as<Weight, T>)
  {
    detail::multiply_stored<T, Weight>(alpha, a, b, beta, c);
  }
  /// One product per element of the first axis, side by side.
  void gemm(T alpha, View<const T, 3> a, View<const T, 3> b, T beta, View<T, 3> c) {
    const Index n = c.shape[0];
    for (Index i = 0; i < n; ++i) gemm(alpha, plane(a, i), plane(b, i), beta, plane(c, i));
  }

  template <class U>
  void upload(U* to, const U* from, Index n) {
    std::copy_n(from, n, to);
  }
  template <class U>
  void download(const U* from, U* to, Index n) {
    std::copy_n(from, n, to);
  }

 private:
  template <class U>
  static View<U, 2> plane(View<U, 3> v, Index n) {
    return {v.data + n * v.stride[0], {v.shape[1], v.shape[2]}, {v.stride[1], v.stride[2]}};
  }
};

}  // namespace espalier::inline v0
