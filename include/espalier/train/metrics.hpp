// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/core/target.hpp>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

// How well predictions agree with what was to be predicted. Where a number is not defined (a constant has no correlation)
// it is NaN; labels of -100 do not count.
namespace espalier::inline v0 {

/// The greatest logit of each row of `count`; of equal ones the first.
template <class A>
std::vector<int> most_likely(const std::vector<A>& logits, Index count) {
  require(count > 0 && Index(logits.size()) % count == 0, "metrics: {} logits are no rows of {}", logits.size(), count);
  std::vector<int> classes;
  for (auto row = logits.begin(); row != logits.end(); row += count)
    classes.push_back(int(std::max_element(row, row + count) - row));
  return classes;
}

namespace detail {

/// What became of what: counts(wanted, predicted).
struct Confusion {
  Confusion(std::span<const int> predicted, std::span<const int> wanted) {
    require(predicted.size() == wanted.size(), "metrics: {} predictions for {} labels", predicted.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] == kIgnore) continue;
      require(predicted[i] >= 0 && wanted[i] >= 0, "metrics: there is a class {}, expected 0 or more", std::min(predicted[i], wanted[i]));
      classes = std::max({classes, Index(predicted[i]) + 1, Index(wanted[i]) + 1});
    }
    said.assign(std::size_t(classes), 0), were.assign(std::size_t(classes), 0), both.assign(std::size_t(classes), 0);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] == kIgnore) continue;
      ++all, ++said[std::size_t(predicted[i])], ++were[std::size_t(wanted[i])];
      if (predicted[i] == wanted[i]) ++right, ++both[std::size_t(wanted[i])];
    }
  }
  Index classes = 0;
  double all = 0, right = 0;
  std::vector<double> said, were, both;  // (classes)
};

}  // namespace detail

/// The share that is right.
inline double accuracy(std::span<const int> predicted, std::span<const int> wanted) {
  const detail::Confusion c(predicted, wanted);
  return c.all > 0 ? c.right / c.all : std::numeric_limits<double>::quiet_NaN();
}

/// 2 tp / (2 tp + fp + fn) of one class; 0 when it was neither there nor said.                       van Rijsbergen 1979
inline double f1(std::span<const int> predicted, std::span<const int> wanted, int positive = 1) {
  const detail::Confusion c(predicted, wanted);
  if (Index(positive) >= c.classes) return 0;
  const auto p = std::size_t(positive);
  const double among = c.said[p] + c.were[p];
  return among > 0 ? 2 * c.both[p] / among : 0;
}
/// Its mean over the classes that were there or said.
inline double macro_f1(std::span<const int> predicted, std::span<const int> wanted) {
  const detail::Confusion c(predicted, wanted);
  double sum = 0, classes = 0;
  for (std::size_t p = 0; p < c.said.size(); ++p)
    if (const double among = c.said[p] + c.were[p]; among > 0) sum += 2 * c.both[p] / among, ++classes;
  return classes > 0 ? sum / classes : std::numeric_limits<double>::quiet_NaN();
}

/// (n right − Σ said_k were_k) / √((n² − Σ said_k²) (n² − Σ were_k²)): the correlation of classes; of two classes
/// Matthews' (1975), of more Gorodkin's (2004). 0 when one side knows one class only.
inline double matthews(std::span<const int> predicted, std::span<const int> wanted) {
  const detail::Confusion c(predicted, wanted);
  double across = 0, of_said = 0, of_were = 0;
  for (std::size_t k = 0; k < c.said.size(); ++k)
    across += c.said[k] * c.were[k], of_said += c.said[k] * c.said[k], of_were += c.were[k] * c.were[k];
  const double below = (c.all * c.all - of_said) * (c.all * c.all - of_were);
  return below > 0 ? (c.all * c.right - across) / std::sqrt(below) : 0;
}

/// Σ (x − x̄)(y − ȳ) / √(Σ (x − x̄)² Σ (y − ȳ)²)                                                             Pearson 1895
inline double pearson(std::span<const double> x, std::span<const double> y) {
  require(x.size() == y.size(), "metrics: {} predictions for {} values", x.size(), y.size());
  const double n = double(x.size());
  const double mx = std::accumulate(x.begin(), x.end(), 0.0) / n, my = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double dx = x[i] - mx, dy = y[i] - my;
    xy += dx * dy, xx += dx * dx, yy += dy * dy;
  }
  if (!(xx > 0 && yy > 0)) return std::numeric_limits<double>::quiet_NaN();
  return std::clamp(xy / (std::sqrt(xx) * std::sqrt(yy)), -1.0, 1.0);
}

/// Ranks from 1; equal numbers share the mean of theirs.
inline std::vector<double> ranks(std::span<const double> x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  std::vector<double> r(x.size());
  for (std::size_t i = 0, end = 0; i < order.size(); i = end) {
    while (end < order.size() && !(x[order[i]] < x[order[end]])) ++end;
    for (std::size_t j = i; j < end; ++j) r[order[j]] = 0.5 * double(i + 1 + end);
  }
  return r;
}
/// Pearson's correlation of the ranks.                                                                     Spearman 1904
inline double spearman(std::span<const double> x, std::span<const double> y) {
  for (const auto& side : {x, y})
    for (const double v : side)
      if (std::isnan(v)) return v;  // it has no rank
  return pearson(ranks(x), ranks(y));
}

}  // namespace espalier::inline v0
