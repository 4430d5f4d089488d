// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <concepts>
#include <espalier/backend/cpu_parallel.hpp>
#include <espalier/backend/cpu_product.hpp>
#include <espalier/backend/host.hpp>
#include <espalier/core/backend.hpp>

namespace espalier::inline v0 {
namespace detail {

/// Output tiles: a function of the shape alone, tall, so that a packed panel of b is used often.
struct Tiles {
  Index height = 512, width = 256, down, across;
  Tiles(Index rows, Index cols) {
    const auto count = [&] {
      down = (rows + height - 1) / height, across = (cols + width - 1) / width;
      return down * across;
    };
    while (count() < 16 && (width > 32 || height > 32)) {
      const bool narrow = width > 64 || (height <= 32 && width > 32);
      if (narrow && (cols > width / 2 || height <= 32)) width /= 2;
      else height /= 2;
    }
  }
};

/// More multiplications than these are worth threads; so are more numbers than four chunks.
inline constexpr Index kProductGrain = 65536, kChunk = 4096;

/// c = alpha a b + beta c. The one place where products are instantiated: a program may link espalier::precompiled.
template <class T, class W>
void multiply(T alpha, View<const T, 2> a, View<const W, 2> b, T beta, View<T, 2> c) {
  if constexpr (std::same_as<T, W>)  // a thin result lies across: vectors run along its long side
    if (c.stride[1] == 1 && c.cols() < c.rows() && c.cols() <= 64 && a.stride[0] == 1 && a.stride[1] != 1)
      return multiply<T, T>(alpha, b.t(), a.t(), beta, c.t());
  const Tiles tiles(c.rows(), c.cols());
  parallel(tiles.down * tiles.across, 1, c.rows() * c.cols() * a.cols() > kProductGrain, [&](Index n) {
    const Index i = n / tiles.across * tiles.height, j = n % tiles.across * tiles.width;
    const Index rows = std::min(tiles.height, c.rows() - i), cols = std::min(tiles.width, c.cols() - j);
    multiply_tile<T, W>(alpha, a.rows(i, rows), b.cols(j, cols), beta, c.rows(i, rows).cols(j, cols));
  });
}

#if defined(ESPALIER_PRECOMPILED)
#define ESPALIER_PRODUCT(T, W)                                                               \
  extern template void multiply<T, W>(T, View<const T, 2>, View<const W, 2>, T, View<T, 2>); \
  extern template void multiply_tile<T, W>(T, View<const T, 2>, View<const W, 2>, T, View<T, 2>);
ESPALIER_PRODUCT(float, float)
ESPALIER_PRODUCT(float, BFloat16)
ESPALIER_PRODUCT(double, double)
#undef ESPALIER_PRODUCT
#endif

/// A team of one whose tiles go through the same products as large matrices.
struct CpuTeam : HostTeam {
  using HostTeam::copy;
  using HostTeam::multiply;
  using HostTeam::multiply_both;

  template <std::floating_point T>
  void multiply(View<const T, 2> a, View<const T, 2> b, T beta, View<T, 2> c) const {
    multiply_tile<T, T>(T(1), a, b, beta, c);
  }
  template <std::floating_point T, class F>
  void multiply_both(View<const T, 2> a, View<const T, 2> p, View<const T, 2> b, View<const T, 2> q, F f) const {
    constexpr Index width = kPanel<T>;
    const Index whole = p.cols() / width * width;
    Index i = 0;
    const auto rows = [&]<int Rows>(std::integral_constant<int, Rows>) {
      for (; i + Rows <= a.rows(); i += Rows)
        for (Index j = 0; j < whole; j += width)
          micro_both<Rows, T>(a.rows(i, Rows), p.cols(j, width), b.rows(i, Rows), q.cols(j, width),
                              [&](Index r, Index l, auto x, auto y) { f(i + r, j + l, x, y); });
    };
    rows(std::integral_constant<int, (kRows == 8 ? 6 : 3)>{});
    rows(std::integral_constant<int, 1>{});
    const Index left = p.cols() - whole;
    HostTeam::multiply_both<T>(a, p.cols(whole, left), b, q.cols(whole, left),
                               [&](Index r, Index l, auto x, auto y) { f(r, whole + l, x, y); });
  }
  template <std::floating_point T>
  void copy(View<const T, 2> from, View<T, 2> to) const {
    pack<Packet<T>, T, T>(from, to.data, to.stride[0], to.cols());
  }
};

/// Scratch for every thread now, whichever of them will be given a row: later steps take no memory.
inline void reserve_scratch(Index bytes) {
  thread_local Index reserved = 0;
  if (bytes <= reserved) return;
  reserved = bytes;
  on_every_thread([bytes] { HostTeam().scratch<std::byte>(bytes); });
}

}  // namespace detail

/// The CPU: products on Eigen's packets, OpenMP above a grain. Results have the same bits for any number of threads:
/// tiles, K-blocks, chunks and lanes depend on shapes alone.
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
    constexpr Index chunk = detail::kChunk;
    const Index chunks = (n + chunk - 1) / chunk;
    detail::parallel(chunks, std::max<Index>(1, chunks / 64), chunks > 4, [n, f](Index c) {
      const Index first = c * detail::kChunk, last = std::min(n, first + detail::kChunk);
      ESPALIER_OMP(simd)
      for (Index i = first; i < last; ++i) f(i);
    });
  }

  /// Rows may differ in cost, so they are dealt out as threads come for them; each has one writer.
  template <class F>
  void for_each_row(Index n, F f) {
    if constexpr (requires { f.scratch_bytes(); }) detail::reserve_scratch(f.scratch_bytes());
    const Index chunk = std::max<Index>(1, n / 128);
    detail::parallel(n, chunk, n > 1, [&](Index i) {
      detail::CpuTeam team;
      f(team, i);
    });
  }

  void gemm(T alpha, View<const T, 2> a, View<const T, 2> b, T beta, View<T, 2> c) {
    detail::multiply<T, T>(alpha, a, b, beta, c);
  }
  /// b is widened panel by panel: no copy of the weight ever exists.
  void gemm(T alpha, View<const T, 2> a, View<const Weight, 2> b, T beta,
            View<T, 2> c) requires(!std::same_as<Weight, T>) {
    detail::multiply<T, Weight>(alpha, a, b, beta, c);
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
  template <class F>
  void record(F&& f) {
    f();
  }

 private:
  template <class U>
  static View<U, 2> plane(View<U, 3> v, Index n) {
    return {v.data + n * v.stride[0], {v.shape[1], v.shape[2]}, {v.stride[1], v.stride[2]}};
  }
};

}  // namespace espalier::inline v0
