// SPDX-License-Identifier: MIT
#pragma once
// Host tensors as Eigen maps: no copy, same memory. Host code only.
#if defined(__CUDACC__)
#error "interop/eigen.hpp in a .cu file would compile Eigen without SIMD: put host code into a .cpp"
#endif
#include <Eigen/Core>
#include <espalier/core/tensor.hpp>
#include <espalier/core/view.hpp>
#include <type_traits>

namespace espalier::inline v0 {

namespace detail {
template <class T, class Plain>
using MapOf = std::conditional_t<std::is_const_v<T>, const Plain, Plain>;
}  // namespace detail

/// The memory of a matrix or vector as an Eigen::Map with its strides: writing to one writes to the other. The view
/// must lie in host memory and outlive the map; a device tensor is downloaded first. A transposed view maps to the
/// transpose.
///
///     auto w = as_eigen(projection.weight);      w.row(3).setZero();
template <class T>
auto as_eigen(View<T, 2> v) {
  using Plain = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
  return Eigen::Map<detail::MapOf<T, Plain>, Eigen::Unaligned, Stride>(v.data, v.rows(), v.cols(),
                                                                       Stride(v.stride[0], v.stride[1]));
}
template <class T>
auto as_eigen(View<T, 1> v) {
  using Plain = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, 1>;
  using Stride = Eigen::InnerStride<Eigen::Dynamic>;
  return Eigen::Map<detail::MapOf<T, Plain>, Eigen::Unaligned, Stride>(v.data, v.shape[0], Stride(v.stride[0]));
}
template <class Device, class T, int Rank>
auto as_eigen(Tensor<Device, T, Rank>& tensor) {
  return as_eigen(tensor.view());
}
template <class Device, class T, int Rank>
auto as_eigen(const Tensor<Device, T, Rank>& tensor) {
  return as_eigen(tensor.view());
}

}  // namespace espalier::inline v0
