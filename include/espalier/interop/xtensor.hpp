// SPDX-License-Identifier: MIT
#pragma once
// Host tensors as xtensor adaptors: no copy, same memory. Needs xtensor: link espalier::npy.
#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>
#else
#include <xtensor/xadapt.hpp>
#endif
#include <array>
#include <cstddef>
#include <espalier/core/error.hpp>
#include <espalier/core/tensor.hpp>
#include <espalier/core/view.hpp>
#include <type_traits>

namespace espalier::inline v0 {

/// The memory of a view as an xtensor expression, strides and all: writing to one writes to the other. The view must
/// lie in host memory and outlive the expression; a device tensor is downloaded first.
///
///     auto a = as_xtensor(model.model.norm.weight);      a(3) = 1;
template <class T, int Rank>
auto as_xtensor(View<T, Rank> v) {
  std::array<std::size_t, std::size_t(Rank)> shape;
  std::array<std::ptrdiff_t, std::size_t(Rank)> strides;
  for (int d = 0; d < Rank; ++d) {
    require(v.stride[d] >= 0, "as_xtensor: stride {} of axis {}; expected no negative one", v.stride[d], d);
    shape[std::size_t(d)] = std::size_t(v.shape[d]);
    strides[std::size_t(d)] =
        v.shape[d] == 1 ? 0 : v.stride[d];  // as xtensor wants it where there is nothing to stride over
  }
  // The size is that of the shape, whatever the strides span: adaptors insist, and never look beyond through it.
  return xt::adapt(v.data, std::size_t(v.size()), xt::no_ownership(), shape, strides);
}
template <class Device, class T, int Rank>
auto as_xtensor(Tensor<Device, T, Rank>& tensor) {
  return as_xtensor(tensor.view());
}
template <class Device, class T, int Rank>
auto as_xtensor(const Tensor<Device, T, Rank>& tensor) {
  return as_xtensor(tensor.view());
}

}  // namespace espalier::inline v0
