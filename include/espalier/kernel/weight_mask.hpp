// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

// A bit a weight: 1 keeps it. A row begins with a word; bit j of a row is bit j mod 32 of its word j / 32.
namespace espalier::inline v0::kernel {

inline constexpr Index kBitsPerWord = 32;

/// Words of a row of n bits.
ESPALIER_FN inline constexpr Index bit_words(Index n) { return (n + kBitsPerWord - 1) / kBitsPerWord; }
ESPALIER_FN inline bool kept(const std::uint32_t* row, Index j) { return ((row[j >> 5] >> (j & 31)) & 1u) != 0; }

// y(i, j) = M(i, j) (W0(i, j) + added(i, j)), per row. No bits: everything is kept. No `added`: nothing is added.
template <class W, class A, class T>
struct EffectiveWeight {
  View<const W, 2> w;                 // (rows, in)
  View<const A, 2> added;             // (rows, in), or no data; may be y
  View<const std::uint32_t, 2> bits;  // (rows, words), or no data
  View<T, 2> y;                       // (rows, in)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const W* const wi = w.row(i);
    T* const yi = y.row(i);
    const std::uint32_t* const row = bits ? bits.row(i) : nullptr;
    if (added) {
      const A* const ai = added.row(i);
      team.each(y.cols(), [&](Index j) {
        const A sum = widen<A>(wi[j]) + ai[j];
        yi[j] = !row || kept(row, j) ? T(sum) : T(0.0f);
      });
    } else {
      team.each(y.cols(), [&](Index j) { yi[j] = !row || kept(row, j) ? T(widen<A>(wi[j])) : T(0.0f); });
    }
  }
};

// x = M∘x, per row: zeros where a bit is 0.
template <class T>
struct ZeroRemoved {
  View<const std::uint32_t, 2> bits;  // (rows, words)
  View<T, 2> x;                       // (rows, in)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const std::uint32_t* const row = bits.row(i);
    T* const xi = x.row(i);
    team.each(x.cols(), [&](Index j) {
      if (!kept(row, j)) xi[j] = T(0.0f);
    });
  }
};

// x = x − M∘x, per row: zeros where a bit is 1.
template <class T>
struct OnlyRemoved {
  View<const std::uint32_t, 2> bits;  // (rows, words)
  View<T, 2> x;                       // (rows, in)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const std::uint32_t* const row = bits.row(i);
    T* const xi = x.row(i);
    team.each(x.cols(), [&](Index j) {
      if (kept(row, j)) xi[j] = T(0.0f);
    });
  }
};

// Bits of the rows and columns that stay, per row; an absent list keeps everything.
struct GatherBits {
  View<const std::uint32_t, 2> bits;  // (old rows, words)
  const int *rows, *columns;
  Index cols;                   // bits of a row of `to`
  View<std::uint32_t, 2> to;    // (rows, words)

  ESPALIER_FN Index width() const { return to.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const std::uint32_t* const from = bits.row(rows ? rows[i] : i);
    team.each(to.cols(), [&](Index w) {
      std::uint32_t word = 0;
      for (Index b = 0; b < kBitsPerWord && w * kBitsPerWord + b < cols; ++b) {
        const Index j = w * kBitsPerWord + b;
        if (kept(from, columns ? columns[j] : j)) word |= std::uint32_t(1) << b;
      }
      to(i, w) = word;
    });
  }
};

}  // namespace espalier::inline v0::kernel
