// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/random.hpp>
#include <espalier/core/step.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// y = x∘keep / (1 − p), keep drawn per coordinate of the *uncompacted* matrix, per row.              Srivastava et al. 2014
template <class T, class A = Wide<T>>
struct Dropout {
  View<const T, 2> x;  // (rows, cols)
  double p;
  std::uint32_t which;     // the adapter
  const StepState* state;  // seed, step, micro-batch
  const int* origin;       // (cols) column in the uncompacted matrix; null: the same
  Index full;              // columns of the uncompacted matrix
  bool add;                // y += instead of y =
  View<T, 2> y;            // (rows, cols)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const RandomStream stream{state->seed, Purpose::dropout, which, state->step};
    const std::uint64_t first = (std::uint64_t(state->micro) * 0x100000000ull + std::uint64_t(i)) * std::uint64_t(full);
    const A scale = A(float(1 / (1 - p)));
    const auto threshold = std::uint32_t(p * 0x1p32);
    const T* const xi = x.row(i);
    T* const yi = y.row(i);
    team.each(x.cols(), [&](Index j) {
      const std::uint64_t at = first + std::uint64_t(origin ? origin[j] : j);
      const A kept = stream.bits(at) >= threshold ? widen<A>(xi[j]) * scale : A(0);
      yi[j] = T(add ? widen<A>(yi[j]) + kept : kept);
    });
  }
};

}  // namespace espalier::inline v0::kernel
