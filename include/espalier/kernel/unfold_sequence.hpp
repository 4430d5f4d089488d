// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

// y(b seq + t, c taps + j) = x(b seq + t + j − taps / 2, c), zero beyond the ends of a sequence and where there is padding: a
// convolution along a sequence is a product with this matrix.
template <class T>
struct UnfoldSequence {
  View<const T, 2> x;  // (batch · seq, channels)
  const int* visible;  // (batch · seq); null: there is no padding
  Index seq, taps;     // taps: an odd number
  View<T, 2> y;        // (batch · seq, channels · taps)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const Index t = i % seq, first = i - t;
    T* const yi = y.row(i);
    team.each(y.cols(), [&](Index n) {
      const Index s = t + n % taps - taps / 2;
      const bool there = s >= 0 && s < seq && (visible == nullptr || visible[first + s] != 0);
      yi[n] = there ? x(first + s, n / taps) : T(0.0f);
    });
  }
};

// x(i, :) = 0 where token i is padding, per row.
template <class T>
struct ClearPadding {
  const int* visible;  // (rows); null: there is no padding
  View<T, 2> x;        // (rows, cols)

  ESPALIER_FN Index width() const { return x.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    if (visible == nullptr || visible[i] != 0) return;
    T* const xi = x.row(i);
    team.each(x.cols(), [&](Index j) { xi[j] = T(0.0f); });
  }
};

}  // namespace espalier::inline v0::kernel
