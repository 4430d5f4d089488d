// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/taylor.hpp>

namespace espalier::inline v0::kernel {

// TaylorElement a tile at a time: Ĝ = (gB, B) (A − η gA ; gA) and B A are products of rank 2r and r of panels in the
// nearest cache; they meet W0, which is read once and as it lies, in registers.               LoRAPrune, eq. 9 and 10
template <class W, class A>
struct TaylorTiles {
  /// Columns of a panel, rows of a tile, and partial sums of a row: what the order of a sum depends on.
  static constexpr Index kWidth = 128, kTile = 6, kSums = 32;

  TaylorElement<W, A> element;
  View<A, 1> score;

  ESPALIER_FN Index rank() const { return element.da.rows(); }
  ESPALIER_FN A clip() const { return element.clipped ? A(element.clipped->clip) : A(1); }

  /// Panels of the columns from j: A − η gA, gA and A, one below the other.
  template <class Team>
  ESPALIER_FN void prepare_panels(Team& team, Index j, View<A, 2> panels) const {
    const A step = element.eta * clip();
    for (Index k = 0; k < rank(); ++k) {
      const A *const a = element.weight.a.row(k) + j, *const da = element.da.row(k) + j;
      A *const first = panels.row(k), *const second = panels.row(rank() + k), *const third = panels.row(2 * rank() + k);
      team.each(panels.cols(), [&](Index l) { first[l] = a[l] - step * da[l], second[l] = da[l], third[l] = a[l]; });
    }
  }
  /// (gB, B) of the rows from i.
  template <class Team>
  ESPALIER_FN void prepare_left(Team& team, Index i, View<A, 2> left) const {
    for (Index r = 0; r < left.rows(); ++r) {
      const A *const db = element.db.row(i + r), *const b = element.weight.b.row(i + r);
      A *const first = left.row(r), *const second = first + rank();
      team.each(rank(), [&](Index k) { first[k] = db[k], second[k] = b[k]; });
    }
  }
  /// sum_at(r, l)[…] += element(i + r, j + l) over the rows of left and the columns of panels; the part of W0 that is
  /// `ahead` numbers further on comes next.
  template <class Team, class SumAt>
  ESPALIER_FN void add(Team& team, Index i, Index j, View<const A, 2> left, View<const A, 2> panels, Index ahead,
                       SumAt sum_at) const {
    const Index step = element.weight.w.stride[0];
    const W* const base = element.weight.w.row(i) + j;
    const A factor = element.factor * clip(), scale = element.weight.scale;
    for (Index r = 0; r < left.rows(); ++r) team.expect(base + r * step + ahead, panels.cols());
    const auto products = [&](auto term) {
      team.multiply_both(left, panels.rows(0, 2 * rank()), left.cols(rank(), rank()), panels.rows(2 * rank(), rank()),
                         [&](Index r, Index l, auto g, auto w) {
                           using Lanes = decltype(g);
                           A* const to = sum_at(r, l);
                           const Lanes x = factor * g * (Lanes::load(base + r * step + l) + scale * w);
                           (Lanes::load(to) + term(x)).store(to);
                         });
    };
    if (element.power == Power::square) {
      products([](auto x) { return x * x; });
    } else {
      products([](auto x) { return abs(x); });
    }
  }
};

// score(i) += Σ_j element(i, j): a team takes kBlock rows through all columns.
// Column l of a panel adds to sum l mod kSums of its row, which must be its member's own.
template <class W, class A>
struct TaylorRows {
  using Tiles = TaylorTiles<W, A>;
  static constexpr Index kBlock = 48, kMembers = Tiles::kSums;
  Tiles tiles;

  /// How many rows to launch.
  ESPALIER_FN Index blocks() const { return (tiles.score.shape[0] + kBlock - 1) / kBlock; }
  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const {
    return (3 * tiles.rank() * Tiles::kWidth + kBlock * (Tiles::kSums + 2 * tiles.rank())) * Index(sizeof(A));
  }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    const Index first = n * kBlock, rest = tiles.score.shape[0] - first, count = rest < kBlock ? rest : kBlock;
    const Index cols = tiles.element.da.cols(), rank = tiles.rank();
    const auto panels = matrix(team.template scratch<A>(scratch_bytes()), 3 * rank, Tiles::kWidth);
    const auto sums = matrix(panels.row(3 * rank), count, Tiles::kSums),
               left = matrix(sums.row(kBlock), count, 2 * rank);
    team.each(sums.size(), [&](Index l) { sums.data[l] = A(0); });
    tiles.prepare_left(team, first, left);
    for (Index j = 0; j < cols; j += Tiles::kWidth) {
      const Index width = j + Tiles::kWidth < cols ? Tiles::kWidth : cols - j;
      tiles.prepare_panels(team, j, panels.cols(0, width));
      for (Index i = 0; i < count; i += Tiles::kTile) {
        const Index some = i + Tiles::kTile < count ? Tiles::kTile : count - i;
        tiles.add(team, first + i, j, View<const A, 2>(left.rows(i, some)), View<const A, 2>(panels.cols(0, width)),
                  Tiles::kWidth, [&](Index r, Index l) { return sums.row(i + r) + l % Tiles::kSums; });
      }
    }
    for (Index i = 0; i < count; ++i) {
      const A sum = team.sum(Tiles::kSums, [&](Index l) { return sums.row(i)[l]; });
      team.once([&] { tiles.score(first + i) += sum; });
    }
  }
};

// score(j) += Σ_i element(i, j): a team takes a strip of neighbouring columns down all rows.
template <class W, class A>
struct TaylorColumns {
  using Tiles = TaylorTiles<W, A>;
  Tiles tiles;

  /// Wide strips read W in longer pieces, narrow ones give every thread something to do.
  ESPALIER_FN Index strip() const { return tiles.score.shape[0] >= 2048 ? 256 : tiles.score.shape[0] >= 512 ? 64 : 32; }
  ESPALIER_FN Index width() const { return strip(); }
  /// How many rows to launch.
  ESPALIER_FN Index blocks() const { return (tiles.score.shape[0] + strip() - 1) / strip(); }
  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const { return tiles.rank() * (3 * strip() + 2 * Tiles::kTile) * Index(sizeof(A)); }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    const Index j = n * strip(), cols = tiles.score.shape[0], width = j + strip() < cols ? strip() : cols - j;
    const Index rows = tiles.element.db.rows(), rank = tiles.rank();
    const auto panels = matrix(team.template scratch<A>(scratch_bytes()), 3 * rank, width);
    const auto left = matrix(panels.row(3 * rank), Tiles::kTile, 2 * rank);
    tiles.prepare_panels(team, j, panels);
    for (Index i = 0; i < rows; i += Tiles::kTile) {
      const Index some = i + Tiles::kTile < rows ? Tiles::kTile : rows - i;
      tiles.prepare_left(team, i, left.rows(0, some));
      tiles.add(team, i, j, View<const A, 2>(left.rows(0, some)), View<const A, 2>(panels),
                Tiles::kTile * tiles.element.weight.w.stride[0],
                [&](Index, Index l) { return tiles.score.data + j + l; });
    }
  }
};

}  // namespace espalier::inline v0::kernel
