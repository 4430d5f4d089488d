// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/backend.hpp>
#include <vector>

namespace espalier::inline v0 {

/// A trainable matrix. Value, gradient and moments are windows into one flat arena per kind (see ParameterArena).
template <Backend Device>
struct Parameter {
  using T = typename Device::Accumulate;

  Parameter() = default;
  Parameter(Index height, Index width) : rows(height), cols(width) {}
  Index size() const { return rows * cols; }

  Index rows = 0, cols = 0;
  Index offset = 0;       ///< first element in every arena
  View<T, 2> value, grad;  // (rows, cols)
};

/// The trainable numbers of a model, one flat buffer per kind: values, gradients, and the moments an optimizer asks for.
/// So the optimizer is one kernel, an all-reduce one call, and a pruning event one rebuild.
template <Backend Device>
class ParameterArena {
 public:
  using T = typename Device::Accumulate;
  using Buffer = typename Device::template Buffer<T>;
  static constexpr Index kAlign = 16;  // elements: every parameter starts on a cache line

  Index size() const { return size_; }
  T* value() { return value_.data(); }
  T* grad() { return grad_.data(); }
  /// Moment k of every parameter, zero at first.
  T* moment(Device& device, int k) {
    while (Index(moments_.size()) <= k) moments_.emplace_back(device, size_);
    return moments_[std::size_t(k)].data();
  }
  int moments() const { return int(moments_.size()); }

  /// Gives every parameter its place. `parameters` calls its argument once per parameter, always in the same order.
  template <class Each>
  void bind(Device& device, Each&& parameters) {
    size_ = lay_out(parameters);
    value_ = Buffer(device, size_), grad_ = Buffer(device, size_);
    moments_.clear();
    point(parameters);
  }

  /// Moves everything into fresh buffers after shapes have changed: move(parameter, old, new) is called per parameter
  /// and kind with the old and the new windows.
  template <class Each, class Move>
  void rebuild(Device& device, Each&& parameters, Move&& move) {
    struct Old {
      Index rows, cols, offset;
    };
    std::vector<Old> old;
    parameters([&](Parameter<Device>& p) { old.push_back({p.value.rows(), p.value.cols(), p.offset}); });
    size_ = lay_out(parameters);
    const auto carry = [&](Buffer& buffer) {
      Buffer fresh(device, size_);
      std::size_t i = 0;
      parameters([&](Parameter<Device>& p) {
        const Old o = old[i++];
        move(p, matrix(buffer.data() + o.offset, o.rows, o.cols), matrix(fresh.data() + p.offset, p.rows, p.cols));
      });
      buffer = std::move(fresh);
    };
    carry(value_), carry(grad_);
    for (Buffer& m : moments_) carry(m);
    point(parameters);
  }

 private:
  template <class Each>
  static Index lay_out(Each&& parameters) {
    Index top = 0;
    parameters([&](Parameter<Device>& p) {
      p.offset = top;
      top += (p.size() + kAlign - 1) / kAlign * kAlign;
    });
    return top;
  }
  template <class Each>
  void point(Each&& parameters) {
    parameters([&](Parameter<Device>& p) {
      p.value = matrix(value_.data() + p.offset, p.rows, p.cols);
      p.grad = matrix(grad_.data() + p.offset, p.rows, p.cols);
    });
  }

  Index size_ = 0;
  Buffer value_, grad_;
  std::vector<Buffer> moments_;
};

}  // namespace espalier::inline v0
