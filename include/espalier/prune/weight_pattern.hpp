// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/kernel/select.hpp>
#include <string>

namespace espalier::inline v0 {

/// What single weights, or blocks of them, compete with.
enum class Within {
  row,         ///< those of the same output, Wanda's comparison group
  projection,  ///< those of the same projection
  model,       ///< those of all projections
};
inline const char* name_of(Within w) {
  return w == Within::row ? "row" : w == Within::projection ? "projection" : "model";
}

/// Which weights of a projection leave together, and among which the lowest are chosen.
///
///   WeightPattern::unstructured(Within::row)   each weight by itself: k = floor(n s + ½) of each n leave
///   WeightPattern::n_of_m(2, 4)                of every 4 consecutive weights of a row 2 stay       Zhou et al. 2021
///   WeightPattern::blocks(4, 4), ::rows(), ::columns()
///
/// s is the share of the weights that leaves. With n of m, k = floor(m s + ½) of each m leave, and floor(r k / m + ½) of a
/// shorter rest r at the end of a row, of which no more than n stay then either.
///
/// Blocks leave in the order of the mean of their weights' scores, for as long as the middle of the next one lies within n s
/// of the n weights they compete with: what leaves is within half of the largest block of n s. A score says what is lost
/// with a weight, and a block that leaves saves as many weights as it has: ordered by their sums, blocks that are smaller,
/// at an edge or in a projection with shorter rows, would leave first for being small.
struct WeightPattern {
  enum class Kind { unstructured, n_of_m, blocks } kind = Kind::unstructured;
  Within within = Within::projection;
  Index n = 2, m = 4;              ///< of every m weights n stay
  Index height = 1, width = 1;     ///< of a block; 0: the whole side of the weight

  static WeightPattern unstructured(Within within = Within::projection) {
    return {Kind::unstructured, within, 0, 0, 1, 1};
  }
  static WeightPattern n_of_m(Index n, Index m) { return {Kind::n_of_m, Within::row, n, m, 1, 1}; }
  static WeightPattern blocks(Index height, Index width, Within within = Within::projection) {
    return {Kind::blocks, within, 0, 0, height, width};
  }
  static WeightPattern rows(Within within = Within::projection) { return blocks(1, 0, within); }
  static WeightPattern columns(Within within = Within::projection) { return blocks(0, 1, within); }

  /// "unstructured", "2:4", "rows", "columns", "4x4".
  static WeightPattern called(const std::string& name, Within within = Within::projection) {
    if (name == "unstructured") return unstructured(within);
    if (name == "rows") return checked(rows(within));
    if (name == "columns") return checked(columns(within));
    const std::size_t mark = name.find_first_of(":x");
    const auto number = [&](std::size_t first, std::size_t last) {
      Index x = 0;
      for (std::size_t i = first; i < last; ++i) {
        if (name[i] < '0' || name[i] > '9' || x > 9999) return Index{0};
        x = 10 * x + (name[i] - '0');
      }
      return x;
    };
    const Index a = mark == std::string::npos ? 0 : number(0, mark), b = a < 1 ? 0 : number(mark + 1, name.size());
    require(a >= 1 && b >= 1,
            "'{}' is no pattern of weights: unstructured, n:m as in 2:4, rows, columns and height x width as in 4x4 are", name);
    return checked(name[mark] == ':' ? n_of_m(a, b) : blocks(a, b, within));
  }
  std::string name() const {
    if (kind == Kind::unstructured) return "unstructured";
    if (kind == Kind::n_of_m) return std::to_string(n) + ":" + std::to_string(m);
    if (height == 1 && width == 0) return "rows";
    if (height == 0 && width == 1) return "columns";
    return (height == 0 ? "all" : std::to_string(height)) + "x" + (width == 0 ? "all" : std::to_string(width));
  }

  void check() const {
    if (kind == Kind::n_of_m)
      require(n >= 1 && n < m && m <= 256, "{}: of every m weights n stay, 1 <= n < m <= 256", name());
    if (kind == Kind::blocks) {
      require(height >= 0 && width >= 0 && height + width > 0, "{}: a block has {} rows and {} columns", name(), height, width);
      require(height != 1 || width != 1, "{}: a block of one weight; say unstructured", name());
      require(within != Within::row, "{}: blocks reach over rows, and are compared within a projection or the model", name());
    }
  }
  /// The share that a pattern of n in m removes in the end; the others are free.
  double share(double otherwise) const { return kind == Kind::n_of_m ? 1 - double(n) / double(m) : otherwise; }

  /// The lowest k of n leave: k = floor(n s + ½).
  static Index count(Index n, double share) {
    return std::clamp<Index>(Index(std::floor(double(n) * share + 0.5 + 1e-9)), 0, n);
  }
  /// 2 n s, rounded down: where the middle of what leaves last may lie, each weight counted twice.
  static Index twice(Index n, double share) {
    return std::clamp<Index>(Index(std::floor(2 * (double(n) * share + 1e-9))), 0, 2 * n);
  }
  /// How many of n weights leave in blocks that have `size` each.
  static Index in_blocks(Index n, Index size, double share) { return (twice(n, share) + size) / (2 * size) * size; }

  /// How many weights of a projection leave at this share, where it is for itself; of blocks of several sizes, half a step
  /// more or less.
  Index leaving(Index out, Index in, double s) const {
    if (kind == Kind::blocks) return even(out, in) ? in_blocks(out * in, step(out, in), s) : count(out * in, s);
    if (kind == Kind::unstructured) return within == Within::row ? out * count(in, s) : count(out * in, s);
    const Index k = std::min(count(m, s), m - n);
    return out * (in / m * k + kernel::leaving_of_rest(in % m, m, k));
  }
  /// Whether all that leaves together in a projection is of one size.
  bool even(Index out, Index in) const {
    return kind != Kind::blocks || (out % block_height(out) == 0 && in % block_width(in) == 0);
  }
  /// The smallest step of what leaves a projection, in weights: in the end it is within half of that of the share asked for.
  Index step(Index out, Index in) const {
    if (kind == Kind::blocks) return block_height(out) * block_width(in);
    if (kind == Kind::n_of_m) return in % m == 0 ? 0 : out;  // the share is the pattern's own; rests are rounded
    return within == Within::row ? out : 1;
  }
  Index block_height(Index out) const { return height == 0 ? out : std::min(height, out); }
  Index block_width(Index in) const { return width == 0 ? in : std::min(width, in); }

 private:
  static WeightPattern checked(const WeightPattern& pattern) {
    pattern.check();
    return pattern;
  }
};

}  // namespace espalier::inline v0
