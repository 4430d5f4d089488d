// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/kernel/taylor.hpp>

namespace espalier::inline v0::kernel {

// norm(j) = √(Σ_t x_tj²), or √ of the mean over tokens.
template <class A>
struct InputNorms {
  View<const A, 1> squares;  // (in)
  View<const A, 1> tokens;   // (1)
  bool mean;
  View<A, 1> norm;  // (in)

  ESPALIER_FN void operator()(Index j) const {
    using std::sqrt;
    const A n = mean && tokens(0) > A(0) ? tokens(0) : A(1);
    norm(j) = sqrt(squares(j) / n);
  }
};

// abs(W_ij) norm(j).                                                                              Sun et al. 2024, eq. 1
template <class W, class A>
struct WandaElement {
  LowRankSum<W, A> weight;
  View<const A, 1> norm;  // (in)
  ESPALIER_FN A operator()(Index i, Index j) const { return raised(Power::abs, weight(i, j)) * norm(j); }
};

}  // namespace espalier::inline v0::kernel
