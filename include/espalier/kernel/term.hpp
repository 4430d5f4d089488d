// SPDX-License-Identifier: MIT
#pragma once
#include <concepts>
#include <espalier/core/backend.hpp>
#include <espalier/core/view.hpp>
#include <espalier/kernel/elementwise.hpp>

namespace espalier::inline v0 {

/// W + s B U: what scores, merging and files see of an adapter, whatever its kind. No data in B: nothing is
/// added; none in U: it is the identity, and s is 1.
template <class A>
struct LowRankTerm {
  View<const A, 2> b;  // (out, rank)
  View<const A, 2> u;  // (rank, in)
  double scale = 0;
};

/// An adapter that adds such a term to its weight, and can become part of it.
template <class Adapter>
concept AddsTerm = requires(Adapter& adapter) {
  { adapter.present() } -> std::convertible_to<bool>;
  adapter.b.grad;
  adapter.merged;
  Adapter::kInput;
};

/// to ← ± s B U, rows first … first + to.rows() of it.
template <Backend Device, class A>
void write_term(Device& device, const LowRankTerm<A>& term, bool minus, Index first, View<A, 2> to) {
  const auto b = term.b.rows(first, to.rows());
  if (term.u) return device.gemm(A(minus ? -term.scale : term.scale), b, term.u, A(0), to);
  device.for_each(to.size(), kernel::Copy<A, A>{b.data, to.data});
  if (minus) device.for_each(to.size(), kernel::Scale<A>{to.data, A(-1)});
}

}  // namespace espalier::inline v0
