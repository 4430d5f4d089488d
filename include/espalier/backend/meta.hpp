// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/backend.hpp>
#include <espalier/core/dtype.hpp>
#include <utility>

namespace espalier::inline v0 {

/// Shapes without memory: a model of any size can be built, counted, grouped and compacted, and nothing is computed.
template <class T = float, class WeightType = T>
struct Meta {
  using Weight = WeightType;
  using Activation = T;
  using Accumulate = T;

  template <class U>
  class Buffer {
   public:
    Buffer() = default;
    Buffer(Meta&, Index n) : size_(n) {}
    Buffer(Buffer&& other) noexcept : size_(std::exchange(other.size_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
      size_ = std::exchange(other.size_, 0);
      return *this;
    }
    U* data() { return nullptr; }
    const U* data() const { return nullptr; }
    Index size() const { return size_; }

   private:
    Index size_ = 0;
  };

  template <class F>
  void for_each(Index, F) {}
  template <class F>
  void for_each_row(Index, F) {}
  template <class A, class B, class C, int R>
  void gemm(T, View<A, R>, View<B, R>, T, View<C, R>) {}
  template <class U>
  void upload(U*, const U*, Index) {}
  template <class U>
  void download(const U*, U* to, Index n) {
    for (Index i = 0; i < n; ++i) to[i] = U{};
  }
  template <class F>
  void record(F&&) {}
};

}  // namespace espalier::inline v0
