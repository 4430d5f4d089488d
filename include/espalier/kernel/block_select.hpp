// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/select.hpp>
#include <espalier/kernel/weight_mask.hpp>

// Which blocks of a weight leave together: their scores, what they count for, and their bits.
namespace espalier::inline v0::kernel {

/// Blocks of a weight (rows, cols), `height` rows and `width` columns each and less at the edges, row by row of blocks.
struct BlockGrid {
  Index rows, cols, height, width;

  ESPALIER_FN Index across() const { return (cols + width - 1) / width; }
  ESPALIER_FN Index count() const { return (rows + height - 1) / height * across(); }
  /// How many weights block b has.
  ESPALIER_FN Index size(Index b) const {
    const Index down = rows - b / across() * height, right = cols - b % across() * width;
    return (down < height ? down : height) * (right < width ? right : width);
  }
};

/// A block stands for its weights, each counted twice, so that its middle is a whole number too.
struct TwiceTheWeights {
  using Count = Index;
  BlockGrid grid;
  ESPALIER_FN Index operator()(Index b) const { return 2 * grid.size(b); }
};

// score(b) = sum(b) / size(b)
template <class A>
struct MeanOfBlock {
  BlockGrid grid;
  A* score;  // (blocks): holds the sum
  ESPALIER_FN void operator()(Index b) const { score[b] /= A(grid.size(b)); }
};

// sum(b) += Σ score over what block b has of these rows; blocks are `height` rows and `width` columns, less at the edges.
// Per row of blocks.
template <class A>
struct BlockSums {
  View<const A, 2> score;  // (rows, in): rows first … of the weight
  Index first, block_height, block_width;
  View<A, 2> sum;          // (rows of blocks, columns of blocks), of the whole weight

  ESPALIER_FN Index width() const { return sum.cols(); }
  /// How many rows to launch.
  ESPALIER_FN Index blocks() const { return (first + score.rows() - 1) / block_height - first / block_height + 1; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index n) const {
    const Index row = first / block_height + n, top = row * block_height - first;
    const Index begin = top < 0 ? 0 : top, end = top + block_height < score.rows() ? top + block_height : score.rows();
    team.each(sum.cols(), [&](Index b) {
      const Index left = b * block_width, right = left + block_width < score.cols() ? left + block_width : score.cols();
      A total(0);
      for (Index i = begin; i < end; ++i)
        for (Index j = left; j < right; ++j) total += score(i, j);
      sum(row, b) += total;
    });
  }
};

// bits of the weights whose block is not removed, per row.
struct KeepBlocks {
  View<const std::uint8_t, 2> removed;  // (rows of blocks, columns of blocks)
  Index block_height, block_width, cols;
  View<std::uint32_t, 2> bits;  // (rows, words)

  ESPALIER_FN Index width() const { return bits.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const std::uint8_t* const ri = removed.row(i / block_height);
    team.each(bits.cols(), [&](Index w) {
      const Index first = w * kBitsPerWord, rest = cols - first, n = rest < kBitsPerWord ? rest : kBitsPerWord;
      std::uint32_t word = 0;
      for (Index b = 0; b < n; ++b) word |= std::uint32_t(ri[(first + b) / block_width] ? 0 : 1) << b;
      bits(i, w) = word;
    });
  }
};

}  // namespace espalier::inline v0::kernel
