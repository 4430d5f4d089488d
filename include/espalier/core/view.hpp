// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#include <type_traits>

namespace espalier::inline v0 {

/// A side of a matrix. Of a weight, rows are outputs and columns are inputs.
enum class Axis { rows, columns };

/// A strided window on memory somebody else owns. Trivially copyable: kernels take it by value.
template <class T, int Rank>
struct View {
  T* data = nullptr;
  Index shape[Rank] = {};
  Index stride[Rank] = {};  // in elements

  template <class... Position>
    requires(sizeof...(Position) == Rank)
  ESPALIER_FN T& operator()(Position... i) const {
    Index at = 0, d = 0;
    ((at += Index(i) * stride[d++]), ...);
    return data[at];
  }

  ESPALIER_FN Index rows() const requires(Rank >= 2) { return shape[Rank - 2]; }
  ESPALIER_FN Index cols() const requires(Rank >= 2) { return shape[Rank - 1]; }
  ESPALIER_FN Index size() const {
    Index n = 1;
    for (Index s : shape) n *= s;
    return n;
  }
  /// Row-major without gaps: element i of the flat array is data[i].
  ESPALIER_FN bool dense() const {
    Index step = 1;
    for (int d = Rank - 1; d >= 0; --d) {
      if (shape[d] != 1 && stride[d] != step) return false;
      step *= shape[d];
    }
    return true;
  }
  ESPALIER_FN explicit operator bool() const { return data != nullptr; }

  // A constrained template: nvcc warns about a plain conversion to View<const T> inside View<const T>.
  template <class C>
    requires(std::is_same_v<C, const T> && !std::is_const_v<T>)
  ESPALIER_FN operator View<C, Rank>() const {
    View<C, Rank> v{data, {}, {}};
    for (int d = 0; d < Rank; ++d) v.shape[d] = shape[d], v.stride[d] = stride[d];
    return v;
  }

  /// The transpose is a view: the last two axes change places.
  ESPALIER_FN View t() const requires(Rank >= 2) {
    View v = *this;
    v.shape[Rank - 2] = shape[Rank - 1], v.shape[Rank - 1] = shape[Rank - 2];
    v.stride[Rank - 2] = stride[Rank - 1], v.stride[Rank - 1] = stride[Rank - 2];
    return v;
  }
  /// Row i, for kernels whose rows lie without gaps: loops over a plain pointer vectorise.
  ESPALIER_FN T* row(Index i) const requires(Rank == 2) { return data + i * stride[0]; }
  ESPALIER_FN View rows(Index first, Index count) const requires(Rank == 2) {
    View v = *this;
    v.data += first * stride[0], v.shape[0] = count;
    return v;
  }
  ESPALIER_FN View cols(Index first, Index count) const requires(Rank == 2) {
    View v = *this;
    v.data += first * stride[1], v.shape[1] = count;
    return v;
  }
};

template <class T>
ESPALIER_FN View<T, 1> vector(T* data, Index n) {
  return {data, {n}, {1}};
}
template <class T>
ESPALIER_FN View<T, 2> matrix(T* data, Index rows, Index cols) {
  return {data, {rows, cols}, {cols, 1}};
}
/// The elements of a dense view as one row of numbers.
template <class T, int Rank>
ESPALIER_FN View<T, 1> flat(View<T, Rank> v) {
  return {v.data, {v.size()}, {1}};
}

}  // namespace espalier::inline v0
