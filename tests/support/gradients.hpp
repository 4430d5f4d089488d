// SPDX-License-Identifier: MIT
#pragma once
#include <complex>
#include <espalier/core/random.hpp>
#include <espalier/core/visit.hpp>
#include <espalier/core/workspace.hpp>
#include <vector>

#include "oracle.hpp"

namespace espalier::test {

using Real = Oracle<double>;
using Complex = Oracle<std::complex<double>>;

/// Fills with uniform numbers of the given half-width around a centre: a function of (seed, index) alone.
template <class T>
void fill(T* x, Index n, std::uint64_t seed, double half = 0.5, double centre = 0) {
  const RandomStream stream{seed, Purpose::test};
  for (Index i = 0; i < n; ++i) x[i] = T(centre + half * (2 * stream.uniform(std::uint64_t(i)) - 1));
}

/// Gives every tensor and parameter of a module the same numbers on any host device; gains lie around one.
template <class M>
void randomise(M& m, std::uint64_t seed, double half = 0.5) {
  walk(m, [&](const std::string& path, auto& node) {
    using Node = std::remove_cvref_t<decltype(node)>;
    ++seed;
    if constexpr (espalier::detail::is_tensor<Node>)
      fill(node.view().data, node.size(), seed, half, path.find("norm") != std::string::npos ? 1.0 : 0.0);
    if constexpr (espalier::detail::is_parameter<Node>) fill(node.value.data, node.size(), seed, half);
  });
}

/// max |a − b| / max(max |b|, 1e-30), after MATH's definition of the relative error of a tensor.
inline double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  double top = 1e-30, worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) top = std::max(top, std::abs(b[i])), worst = std::max(worst, std::abs(a[i] - b[i]));
  return a.size() == b.size() ? worst / top : 1e300;
}

}  // namespace espalier::test
