// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/output_mask.hpp>
#include <espalier/kernel/taylor.hpp>

// H = (2 / n) XᵀX + λ mean(diag) I over the columns that are alive, and what is asked of its inverse.  Hassibi et al. 1993
namespace espalier::inline v0::kernel {

template <class A>
ESPALIER_FN bool is_alive(const OutputMask<A>& units, Index j) {
  return !units.forward || units.forward(j / units.width % units.forward.shape[0]) != A(0);
}
/// 2 / n Σ_t x_ti x_tj; only the lower triangle of the products is read.
template <class A>
ESPALIER_FN A hessian(View<const A, 2> products, View<const A, 1> tokens, Index i, Index j) {
  return A(2) / (tokens(0) > A(0) ? tokens(0) : A(1)) * (i < j ? products(j, i) : products(i, j));
}

// mean(0) = the mean of H's diagonal, over the living. One row.
template <class A>
struct MeanDiagonal {
  View<const A, 2> products;  // (in, in)
  View<const A, 1> tokens;    // (1)
  OutputMask<A> units;
  View<A, 1> mean;  // (1)

  ESPALIER_FN Index width() const { return products.rows(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    const Index n = products.rows();
    const A sum = team.sum(n, [&](Index j) { return is_alive(units, j) ? hessian(products, tokens, j, j) : A(0); });
    const A count = team.sum(n, [&](Index j) { return is_alive(units, j) ? A(1) : A(0); });
    team.once([&] { mean(0) = count > A(0) ? sum / count : A(0); });
  }
};

// H(i, j); what is masked stands alone with a 1 on the diagonal, so that the inverse is that of the living. Per row.
template <class A>
struct DampedHessian {
  View<const A, 2> products;  // (in, in)
  View<const A, 1> tokens;    // (1)
  OutputMask<A> units;
  View<const A, 1> mean;  // (1)
  A damp;
  View<A, 2> h;  // (in, in)

  ESPALIER_FN Index width() const { return h.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const bool alive = is_alive(units, i);
    team.each(h.cols(), [&](Index j) {
      const A coupled = alive && is_alive(units, j) ? hessian(products, tokens, i, j) : A(0);
      h(i, j) = coupled + (i != j ? A(0) : alive ? damp * mean(0) : A(1));
    });
  }
};

// factor(j) = 1 / (2 [H⁻¹]_jj), and 0 of a column that is masked.
template <class A>
struct SaliencyFactors {
  View<const A, 2> inverse;  // (in, in)
  OutputMask<A> units;
  View<A, 1> factor;  // (in)
  ESPALIER_FN void operator()(Index j) const {
    factor(j) = is_alive(units, j) ? A(1) / (A(2) * inverse(j, j)) : A(0);
  }
};

// factor(j) W_ij².
template <class W, class A>
struct SaliencyElement {
  LowRankSum<W, A> weight;
  View<const A, 1> factor;  // (in)
  ESPALIER_FN A operator()(Index i, Index j) const { return raised(Power::square, weight(i, j)) * factor(j); }
};

// ½ y_ij², and 0 where the unit is masked.
template <class A>
struct HalfSquare {
  View<const A, 2> y;
  OutputMask<A> units;
  Index first;  // column of the projection that y begins with
  ESPALIER_FN A operator()(Index i, Index j) const {
    return is_alive(units, first + j) ? raised(Power::square, y(i, j)) / A(2) : A(0);
  }
};

// y(i, j) = W(i, first + j) where keep says so and 0 elsewhere, per row.
template <class W, class A>
struct WeightColumns {
  LowRankSum<W, A> weight;
  Index first;
  View<const A, 1> keep;  // (in), or no data: all
  View<A, 2> y;

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    team.each(y.cols(), [&](Index j) {
      y(i, j) = keep && keep(first + j) == A(0) ? A(0) : weight(i, first + j);
    });
  }
};

// y(i, j) ← y(i, j) where column j is alive, and 0 elsewhere, per row.
template <class A>
struct LivingColumns {
  OutputMask<A> units;
  View<A, 2> y;

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    team.each(y.cols(), [&](Index j) { y(i, j) = is_alive(units, j) ? y(i, j) : A(0); });
  }
};

// leaving(j) = 1 where a column was alive and is no more.
template <class A>
struct LeavingColumns {
  OutputMask<A> before, after;
  View<A, 1> leaving;  // (in)
  ESPALIER_FN void operator()(Index j) const { leaving(j) = A(is_alive(before, j) && !is_alive(after, j) ? 1.0f : 0.0f); }
};

}  // namespace espalier::inline v0::kernel
