// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/backend.hpp>

namespace espalier::inline v0 {

/// A dense, row-major array on a device. Moves, never copies.
template <class Device, class T, int Rank>
class Tensor {
 public:
  using Element = T;
  Tensor() = default;
  template <class... N>
    requires(sizeof...(N) == Rank)
  explicit Tensor(Device& device, N... shape) : shape_{Index(shape)...}, buffer_(device, (Index(shape) * ...)) {}

  View<T, Rank> view() { return at(buffer_.data()); }
  View<const T, Rank> view() const { return at(buffer_.data()); }
  Index shape(int axis) const { return shape_[axis]; }
  Index size() const {
    Index n = 1;
    for (Index s : shape_) n *= s;
    return n;
  }
  bool empty() const { return size() == 0; }

 private:
  template <class U>
  View<U, Rank> at(U* data) const {
    View<U, Rank> v{data, {}, {}};
    Index step = 1;
    for (int d = Rank - 1; d >= 0; --d) v.shape[d] = shape_[d], v.stride[d] = step, step *= shape_[d];
    return v;
  }
  Index shape_[Rank] = {};
  typename Device::template Buffer<T> buffer_;
};

}  // namespace espalier::inline v0
