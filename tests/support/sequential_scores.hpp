// SPDX-License-Identifier: MIT
#pragma once
// The LoRA-guided score behind the weight as it is defined, with every matrix in full.
#include <cmath>
#include <cstdint>
#include <espalier/core/tensor.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <vector>

namespace espalier::test {

/// (Ĝ∘W)² or |Ĝ∘W| of every weight, (out, in):  Ĝ = D W0,  D = gB A + B gA − η gB gA: (out, out),  W = (I + s B A) W0.
/// Outputs that are not alive feed no other one: A∘M stands for A.
template <class Projection>
std::vector<double> sequential_elements(const Projection& p, const TaylorImportance& importance, double clip = 1,
                                        const std::vector<std::uint8_t>& alive = {}) {
  const auto &a = p.adapter.a, &b = p.adapter.b;
  const auto w = p.weight.view();
  const Index out = p.out(), in = p.in();
  std::vector<double> d(std::size_t(out * out)), merge(d);
  for (Index i = 0; i < out; ++i)
    for (Index m = 0; m < out; ++m) {
      const auto at = std::size_t(i * out + m);
      merge[at] = i == m ? 1 : 0;
      for (Index k = 0; k < a.rows; ++k) {
        const double ak = alive.empty() || alive[std::size_t(m)] != 0 ? double(a.value(k, m)) : 0.0, bk = double(b.value(i, k));
        const double ga = clip * double(a.grad(k, m)), gb = clip * double(b.grad(i, k));
        d[at] += gb * ak + bk * ga - importance.eta * gb * ga;
        merge[at] += p.adapter.scale * bk * ak;
      }
    }
  std::vector<double> elements(std::size_t(out * in));
  for (Index i = 0; i < out; ++i)
    for (Index j = 0; j < in; ++j) {
      double g = 0, merged = 0;
      for (Index m = 0; m < out; ++m) {
        const double w0 = double(w(m, j));
        g += d[std::size_t(i * out + m)] * w0, merged += merge[std::size_t(i * out + m)] * w0;
      }
      const double e = (importance.scaled ? p.adapter.scale : 1.0) * g * merged;
      elements[std::size_t(i * in + j)] = importance.power == Power::square ? e * e : std::abs(e);
    }
  return elements;
}

}  // namespace espalier::test
