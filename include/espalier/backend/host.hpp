// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstring>
#include <espalier/backend/one_lane.hpp>
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>
#include <espalier/kernel/math.hpp>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace espalier::inline v0 {
/// Zeroed, 64-byte aligned memory of the host.
template <class T>
class HostBuffer {
 public:
  HostBuffer() = default;
  template <class Device>
  HostBuffer(const Device&, Index n) : size_(n) {
    if (n == 0) return;
    void* p = ::operator new (static_cast<std::size_t>(n) * sizeof(T), std::align_val_t{64});
    std::memset(p, 0, static_cast<std::size_t>(n) * sizeof(T));  // zero bytes are the number zero in every type here
    data_.reset(static_cast<T*>(p));
  }
  HostBuffer(HostBuffer&& other) noexcept : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  HostBuffer& operator=(HostBuffer&& other) noexcept {
    data_ = std::move(other.data_), size_ = std::exchange(other.size_, 0);
    return *this;
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  Index size() const { return size_; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<T, Free> data_;
  Index size_ = 0;
};

/// A team of one: the host works on a row with a single thread. Sums run in 16 fixed lanes and a fixed tree, so that
/// their bits depend neither on the vector width nor on the number of threads.
struct HostTeam {
  static constexpr Index kLanes = 16;

  template <class F>
  ESPALIER_FN void each(Index n, F f) const {
    ESPALIER_OMP(simd)
    for (Index i = 0; i < n; ++i) f(i);
  }

  /// f() by one member.
  template <class F>
  ESPALIER_FN void once(F f) const {
    f();
  }

  template <class F>
  ESPALIER_FN auto sum(Index n, F f) const {
    using T = std::remove_cvref_t<decltype(f(Index{}))>;
    T lane[kLanes] = {};
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      ESPALIER_OMP(simd)
      for (Index l = 0; l < kLanes; ++l) lane[l] += f(i + l);
    }
    for (Index l = 0; i + l < n; ++l) lane[l] += f(i + l);
    for (Index width = kLanes / 2; width > 0; width /= 2)
      for (Index l = 0; l < width; ++l) lane[l] += lane[l + width];
    return lane[0];
  }

  /// The greatest by its real part.
  template <class F>
  ESPALIER_FN auto max(Index n, F f) const {
    using T = std::remove_cvref_t<decltype(f(Index{}))>;
    T lane[kLanes];
    for (Index l = 0; l < kLanes; ++l) lane[l] = f(Index{0});
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      ESPALIER_OMP(simd)
      for (Index l = 0; l < kLanes; ++l) {
        const T x = f(i + l);
        lane[l] = kernel::real_part(x) > kernel::real_part(lane[l]) ? x : lane[l];
      }
    }
    for (Index l = 0; i + l < n; ++l) {
      const T x = f(i + l);
      if (kernel::real_part(x) > kernel::real_part(lane[l])) lane[l] = x;
    }
    for (Index l = 1; l < kLanes; ++l)
      if (kernel::real_part(lane[l]) > kernel::real_part(lane[0])) lane[0] = lane[l];
    return lane[0];
  }

  /// Memory of the team for as long as it works on a row: that many bytes, whatever was in them. A kernel that takes
  /// some says how much in scratch_bytes(), so that a device can have it ready.
  template <class T>
  T* scratch(Index bytes) const {
    return reinterpret_cast<T*>(memory(bytes));
  }

  /// A hint: n numbers from p will be read soon.
  template <class T>
  void expect(const T* p, Index n) const {
#if defined(__GNUC__)
    for (Index i = 0; i < n; i += 64 / Index(sizeof(T))) __builtin_prefetch(p + i, 0, 2);
#endif
  }

  /// c = a b + beta c on tiles that fit into scratch; beta == 0 never reads c.
  template <class T, class U, class V>
  void multiply(View<const T, 2> a, View<const U, 2> b, V beta, View<V, 2> c) const {
    for (Index i = 0; i < c.rows(); ++i)
      for (Index j = 0; j < c.cols(); ++j) {
        V sum(0);
        for (Index k = 0; k < a.cols(); ++k) sum += widen<V>(a(i, k)) * widen<V>(b(k, j));
        c(i, j) = beta == V(0) ? sum : beta * c(i, j) + sum;
      }
  }

  /// f(i, j, x, y) with x = (a p)(i, j) and y = (b q)(i, j), for a few neighbouring j at a time: x and y are Lanes.
  template <class T, class F>
  void multiply_both(View<const T, 2> a, View<const T, 2> p, View<const T, 2> b, View<const T, 2> q, F f) const {
    for (Index i = 0; i < a.rows(); ++i)
      for (Index j = 0; j < p.cols(); ++j) {
        T x(0), y(0);
        for (Index k = 0; k < a.cols(); ++k) x += a(i, k) * p(k, j);
        for (Index k = 0; k < b.cols(); ++k) y += b(i, k) * q(k, j);
        f(i, j, OneLane<T>{x}, OneLane<T>{y});
      }
  }

  /// to = from: how a tile changes its place, its order and its type. Columns that from does not have become zero.
  template <class T, class V>
  void copy(View<T, 2> from, View<V, 2> to) const {
    for (Index i = 0; i < to.rows(); ++i)
      for (Index j = 0; j < to.cols(); ++j) to(i, j) = j < from.cols() ? widen<V>(from(i, j)) : V(0.0f);
  }

 private:
  /// One a thread, whatever is kept in it: what is reserved as bytes is what a kernel gets as numbers.
  static std::byte* memory(Index bytes) {
    thread_local HostBuffer<std::byte> buffer;
    if (buffer.size() < bytes) buffer = HostBuffer<std::byte>(HostTeam(), bytes);
    return buffer.data();
  }
};

}  // namespace espalier::inline v0
