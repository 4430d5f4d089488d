// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <espalier/core/config.hpp>
#include <vector>

namespace espalier::tool {

/// The 0.975 quantile of Student's t: tabulated up to 12 degrees of freedom, from there Cornish and Fisher's expansion
/// (below 1e-3 off).
inline double student_t(Index freedom) {
  constexpr double table[] = {12.7062, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691,
                              2.36462, 2.30600, 2.26216, 2.22814, 2.20099, 2.17881};
  if (freedom <= Index(std::size(table))) return table[freedom - 1];
  const double z = 1.959963985, n = double(freedom), z3 = z * z * z, z5 = z3 * z * z;
  return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n);
}

/// The middle one, or the mean of the two in the middle; 0 of none.
inline double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  const std::size_t n = x.size();
  return n == 0 ? 0 : n % 2 == 1 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

/// A mean, and how far its 95 % confidence interval reaches to either side; one number alone has none.
struct Estimate {
  double mean = 0, half = 0;
  Index n = 0;

  explicit Estimate(const std::vector<double>& x) : n(Index(x.size())) {
    for (const double v : x) mean += v / double(n);
    if (n < 2) return;
    double squares = 0;
    for (const double v : x) squares += (v - mean) * (v - mean);
    half = student_t(n - 1) * std::sqrt(squares / double(n - 1) / double(n));
  }
};

}  // namespace espalier::tool
