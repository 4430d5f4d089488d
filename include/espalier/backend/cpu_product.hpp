// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/backend/cpu_packet.hpp>
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>
#include <type_traits>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // a packet as a template argument loses only its alias rules
#endif

// One tile of c = alpha a b + beta c on Eigen's packets. Element (i, j) is a chain of multiply-adds over k in blocks of
// 1024 bytes, whatever the shapes of tiles and the width of vectors: nothing but k decides its bits.
namespace espalier::inline v0::detail {

/// Columns of a panel: two packets.
template <class T>
inline constexpr Index kPanel = 2 * packet::unpacket_traits<Packet<T>>::size;
/// Depth of a block of k.
template <class T>
inline constexpr Index kDepth = 1024 / Index(sizeof(T));
/// Rows of accumulators that registers hold beside two packets of b.
inline constexpr int kRows = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32 ? 8 : 6;

/// A finished block becomes c = alpha acc or c = beta c + alpha acc.
template <class T>
struct Finish {
  T alpha, beta;
};

/// c(i, :) for `Rows` rows and `Packets` packets of columns, `cols` of which exist. a(i, k) lies at a[i step + k] or at
/// a[i + k step]; row k of b at b[k b_step].
template <bool ByRow, int Rows, int Packets, class P, class T>
void micro(Index depth, const T* a, Index step, const T* b, Index b_step, Finish<T> finish, T* c, Index c_row,
           Index c_col, Index cols) {
  constexpr Index lanes = kLanes<P>;
  P acc[Rows][Packets];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int p = 0; p < Packets; ++p) acc[i][p] = packet::pset1<P>(T(0));
  for (Index k = 0; k < depth; ++k, b += b_step) {
    P y[Packets];
#pragma GCC unroll 8
    for (int p = 0; p < Packets; ++p) y[p] = packet::ploadu<P>(b + p * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const P x = packet::pset1<P>(ByRow ? a[i * step + k] : a[i + k * step]);
#pragma GCC unroll 8
      for (int p = 0; p < Packets; ++p) acc[i][p] = packet::pmadd(x, y[p], acc[i][p]);
    }
  }
  const bool edge = c_col != 1 || cols != Packets * lanes;  // ragged or transposed: through a tile of its own
  alignas(64) T aside[Rows * Packets * lanes];
  T* const to = edge ? aside : c;
  const Index row = edge ? Packets * lanes : c_row;
  const P alpha = packet::pset1<P>(finish.alpha);
  if (finish.beta == T(0)) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
      for (int p = 0; p < Packets; ++p) packet::pstoreu(to + i * row + p * lanes, packet::pmul(alpha, acc[i][p]));
  } else {
    if (edge)
      for (int i = 0; i < Rows; ++i)
        for (Index j = 0; j < Packets * lanes; ++j) aside[i * row + j] = j < cols ? c[i * c_row + j * c_col] : T(0);
    const P beta = packet::pset1<P>(finish.beta);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
      for (int p = 0; p < Packets; ++p) {
        T* const at = to + i * row + p * lanes;
        packet::pstoreu(at, packet::pmadd(alpha, acc[i][p], packet::pmul(beta, packet::ploadu<P>(at))));
      }
  }
  if (edge)
    for (int i = 0; i < Rows; ++i)
      for (Index j = 0; j < cols; ++j) c[i * c_row + j * c_col] = aside[i * row + j];
}

/// One panel of columns against all rows of a.
template <bool ByRow, int Packets, class P, class T>
void sweep(View<const T, 2> a, const T* b, Index b_step, Finish<T> finish, View<T, 2> c) {
  const Index step = ByRow ? a.stride[0] : a.stride[1], next = ByRow ? step : 1;
  Index i = 0;
  const auto rows = [&]<int Rows>(std::integral_constant<int, Rows>) {
    for (; i + Rows <= c.rows(); i += Rows)
      micro<ByRow, Rows, Packets, P, T>(a.cols(), a.data + i * next, step, b, b_step, finish, c.data + i * c.stride[0],
                                        c.stride[0], c.stride[1], c.cols());
  };
  rows(std::integral_constant<int, kRows>{});
  rows(std::integral_constant<int, 4>{});
  rows(std::integral_constant<int, 2>{});
  rows(std::integral_constant<int, 1>{});
}

template <int Packets, class P, class T, class W>
void panel(View<const T, 2> a, View<const W, 2> b, Finish<T> finish, View<T, 2> c) {
  constexpr Index width = Packets * kLanes<P>;
  alignas(64) T packed[kDepth<T> * width];
  const T* from = packed;
  Index step = width;
  bool direct = false;
  if constexpr (std::is_same_v<T, W>) {  // few rows do not pay for a copy, and narrow panels need none
    direct = b.stride[1] == 1 && b.cols() == width && (c.rows() <= 32 || b.stride[0] * Index(sizeof(T)) <= 256);
    if (direct) from = b.data, step = b.stride[0];
  }
  if (!direct) pack<P, T, W>(b, packed, width, width);
  const bool by_row = a.stride[1] == 1 || a.cols() == 1;
  by_row ? sweep<true, Packets, P, T>(a, from, step, finish, c) : sweep<false, Packets, P, T>(a, from, step, finish, c);
}

/// c = alpha a b + beta c;  c may be a transposed view, beta == 0 never reads it.
template <class T, class W>
void multiply_tile(T alpha, View<const T, 2> a, View<const W, 2> b, T beta, View<T, 2> c) {
  using P = Packet<T>;
  using H = HalfPacket<P>;
  constexpr Index lanes = kLanes<P>, width = 2 * lanes;
  Index k = 0;
  do {
    const Index depth = std::min(kDepth<T>, a.cols() - k);
    const Finish<T> finish{alpha, k == 0 ? beta : T(1)};
    for (Index j = 0; j < c.cols(); j += width) {
      const Index cols = std::min(width, c.cols() - j);
      const auto x = a.cols(k, depth);
      const auto y = b.rows(k, depth).cols(j, cols);
      const auto z = c.cols(j, cols);
      if (cols > lanes) {
        panel<2, P, T, W>(x, y, finish, z);
      } else if (cols > kLanes<H>) {
        panel<1, P, T, W>(x, y, finish, z);
      } else {
        panel<1, H, T, W>(x, y, finish, z);
      }
    }
    k += depth;
  } while (k < a.cols());
}

/// x = a p and y = b q on Rows rows and two packets of columns, both in registers until f has seen them.
template <int Rows, class T, class F>
void micro_both(View<const T, 2> a, View<const T, 2> p, View<const T, 2> b, View<const T, 2> q, F f) {
  using P = Packet<T>;
  constexpr Index lanes = kLanes<P>;
  P x[Rows][2], y[Rows][2];
  const auto product = [](P(&acc)[Rows][2], View<const T, 2> left, View<const T, 2> right) {
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) acc[i][0] = acc[i][1] = packet::pset1<P>(T(0));
    const T* from = right.data;
    for (Index k = 0; k < left.cols(); ++k, from += right.stride[0]) {
      const P u = packet::ploadu<P>(from), v = packet::ploadu<P>(from + lanes);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        const P s = packet::pset1<P>(left.data[i * left.stride[0] + k]);
        acc[i][0] = packet::pmadd(s, u, acc[i][0]);
        acc[i][1] = packet::pmadd(s, v, acc[i][1]);
      }
    }
  };
  product(x, a, p);
  product(y, b, q);
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
    f(i, 0, PacketLanes<T>{x[i][0]}, PacketLanes<T>{y[i][0]});
    f(i, lanes, PacketLanes<T>{x[i][1]}, PacketLanes<T>{y[i][1]});
  }
}

}  // namespace espalier::inline v0::detail

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
