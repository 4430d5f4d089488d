// SPDX-License-Identifier: MIT
#pragma once
#if defined(__CUDACC__)
#error "backend/cpu.hpp in a .cu file would compile Eigen without SIMD: put host code into a .cpp"
#endif
#ifndef EIGEN_DONT_PARALLELIZE
#define EIGEN_DONT_PARALLELIZE
#endif
#include <Eigen/Core>
#include <algorithm>
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>
#include <type_traits>

static_assert(EIGEN_VERSION_AT_LEAST(3, 4, 0), "espalier needs Eigen 3.4 or newer");

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // a packet as a template argument loses only its alias rules
#endif

// Eigen's packets: neighbouring numbers in one register. Eigen is a set of verbs here, never a data model.
namespace espalier::inline v0::detail {

namespace packet = Eigen::internal;
template <class T>
using Packet = typename packet::packet_traits<T>::type;
template <class P>
inline constexpr Index kLanes = packet::unpacket_traits<P>::size;
template <class P>
using HalfPacket = typename packet::unpacket_traits<P>::half;

/// Widens as many numbers as a packet holds.
template <class P, class T, class W>
P load_wide(const W* from) {
  if constexpr (std::is_same_v<T, W>) {
    return packet::ploadu<P>(from);
  } else {
    alignas(64) T wide[kLanes<P>];
    for (Index l = 0; l < kLanes<P>; ++l) wide[l] = widen<T>(from[l]);
    return packet::pload<P>(wide);
  }
}

/// Widens and lays out a panel: row k at to[k step]; columns that do not exist are zero up to `width`.
template <class P, class T, class W>
void pack(View<const W, 2> b, T* to, Index step, Index width) {
  constexpr Index lanes = kLanes<P>;
  const auto load = [](const W* from) { return load_wide<P, T, W>(from); };
  const Index depth = b.rows(), cols = b.cols(), whole_k = depth / lanes * lanes, whole = cols / lanes * lanes;
  if (b.stride[1] == 1) {
    for (Index k = 0; k < depth; ++k) {
      const W* from = b.data + k * b.stride[0];
      for (Index j = 0; j < whole; j += lanes) packet::pstoreu(to + k * step + j, load(from + j));
      for (Index j = whole; j < width; ++j) to[k * step + j] = j < cols ? widen<T>(from[j]) : T(0);
    }
    return;
  }
  if (b.stride[0] != 1) {  // neither way contiguous, or a single row
    for (Index k = 0; k < depth; ++k)
      for (Index j = 0; j < width; ++j) to[k * step + j] = j < cols ? widen<T>(b(k, j)) : T(0);
    return;
  }
  for (Index j = 0; j < whole; j += lanes)
    for (Index k = 0; k < whole_k; k += lanes) {
      packet::PacketBlock<P, int(lanes)> block;
      for (Index l = 0; l < lanes; ++l) block.packet[l] = load(b.data + k + (j + l) * b.stride[1]);
      packet::ptranspose(block);
      for (Index l = 0; l < lanes; ++l) packet::pstoreu(to + (k + l) * step + j, block.packet[l]);
    }
  for (Index j = whole; j < width; ++j)
    for (Index k = 0; k < whole_k; ++k) to[k * step + j] = j < cols ? widen<T>(b.data[k + j * b.stride[1]]) : T(0);
  for (Index k = whole_k; k < depth; ++k)
    for (Index j = 0; j < width; ++j) to[k * step + j] = j < cols ? widen<T>(b.data[k + j * b.stride[1]]) : T(0);
}

/// A packet of neighbouring numbers, for kernels that are written for any number of them.
template <class T>
struct PacketLanes {
  Packet<T> x;
  template <class W>
  static PacketLanes load(const W* p) {
    return {load_wide<Packet<T>, T, W>(p)};
  }
  void store(T* p) const { packet::pstoreu(p, x); }
  friend PacketLanes operator+(PacketLanes a, PacketLanes b) { return {packet::padd(a.x, b.x)}; }
  friend PacketLanes operator*(PacketLanes a, PacketLanes b) { return {packet::pmul(a.x, b.x)}; }
  friend PacketLanes operator*(T a, PacketLanes b) { return {packet::pmul(packet::pset1<Packet<T>>(a), b.x)}; }
  friend PacketLanes abs(PacketLanes a) { return {packet::pabs(a.x)}; }
};

}  // namespace espalier::inline v0::detail

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
