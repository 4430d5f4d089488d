// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <espalier/backend/launch_list.hpp>
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>
#include <memory>
#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>
#include <type_traits>
#include <utility>

namespace espalier::inline v0 {

/// A device that Thrust reaches: element-wise launches, memory, and products of any three types of numbers. What differs
/// between devices is its System:
///
///   using Options                                  an aggregate; System(options) throws where there is no device
///   std::byte* allocate(bytes), release(p, bytes)  zeroed memory, aligned to 256 bytes; throws Errc::resources
///   launch(f)                                      f(policy) with Thrust's execution policy, in order with all else
///   rows(n, kernel)                                kernel(team, i) for i in [0, n); a DeviceTeam each
///   copy_in(to, from, bytes)                       host to device; from may be reused when it returns
///   copy_out(from, to, bytes)                      device to host, done when it returns
///   multiply<A>(alpha, a, b, beta, c)              c = alpha a b + beta c, summed in A; beta == 0 never reads c
///   record(f)                                      recordings().write(f), and then all that f has launched
///   recordings()                                   a Recordings: while it is open, launches are written down there
///
/// Memory of the device is never touched by the host: not here, and not in the library.
template <class SystemType, class T = float, class WeightType = T>
class ThrustDevice {
 public:
  using System = SystemType;
  using Weight = WeightType;
  using Activation = T;
  using Accumulate = std::conditional_t<std::is_same_v<T, double>, double, float>;

  /// Zeroed memory of the device, given back in order with what was launched before.
  template <class U>
  class Buffer {
   public:
    Buffer() = default;
    Buffer(const ThrustDevice& device, Index n) : size_(n) {
      if (n == 0) return;
      system_ = device.system_;
      data_ = reinterpret_cast<U*>(system_->allocate(bytes()));
    }
    Buffer(Buffer&& other) noexcept
        : system_(std::move(other.system_)), data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
      if (this == &other) return *this;
      free();
      system_ = std::move(other.system_);
      data_ = std::exchange(other.data_, nullptr), size_ = std::exchange(other.size_, 0);
      return *this;
    }
    ~Buffer() { free(); }
    U* data() { return data_; }
    const U* data() const { return data_; }
    Index size() const { return size_; }

   private:
    Index bytes() const { return size_ * Index(sizeof(U)); }
    void free() noexcept {
      if (data_ != nullptr) system_->release(reinterpret_cast<std::byte*>(data_), bytes());
      data_ = nullptr;
    }
    std::shared_ptr<System> system_;
    U* data_ = nullptr;
    Index size_ = 0;
  };

  explicit ThrustDevice(const typename System::Options& options = {}) : system_(std::make_shared<System>(options)) {}

  System& system() const { return *system_; }

  template <class F>
  void for_each(Index n, F f) {
    if (n > 0) submit(Each<F>{f, n});
  }
  template <class F>
  void for_each_row(Index n, F f) {
    if (n > 0) submit(Rows<F>{f, n});
  }

  template <class P, class Q, class R>
  void gemm(Accumulate alpha, View<P, 2> a, View<Q, 2> b, Accumulate beta, View<R, 2> c) {
    if (c.size() > 0) submit(product(alpha, constant(a), constant(b), beta, c));
  }
  /// One product per element of the first axis.
  template <class P, class Q, class R>
  void gemm(Accumulate alpha, View<P, 3> a, View<Q, 3> b, Accumulate beta, View<R, 3> c) {
    for (Index i = 0; i < c.shape[0]; ++i) gemm(alpha, plane(a, i), plane(b, i), beta, plane(c, i));
  }

  template <class U>
  void upload(U* to, const U* from, Index n) {
    if (n > 0)
      system_->copy_in(reinterpret_cast<std::byte*>(to), reinterpret_cast<const std::byte*>(from), n * Index(sizeof(U)));
  }
  template <class U>
  void download(const U* from, U* to, Index n) {
    if (n > 0)
      system_->copy_out(reinterpret_cast<const std::byte*>(from), reinterpret_cast<std::byte*>(to), n * Index(sizeof(U)));
  }

  template <class F>
  void record(F&& f) {
    system_->record(f);
  }

 private:
  template <class F>
  struct Each {
    F kernel;
    Index n;
    void operator()(System& system) const {
      system.launch([&](const auto& policy) { thrust::for_each_n(policy, thrust::counting_iterator<Index>(0), n, kernel); });
    }
  };
  template <class F>
  struct Rows {
    F kernel;
    Index n;
    void operator()(System& system) const { system.rows(n, kernel); }
  };
  template <class P, class Q, class R>
  struct Product {
    Accumulate alpha;
    View<const P, 2> a;
    View<const Q, 2> b;
    Accumulate beta;
    View<R, 2> c;
    void operator()(System& system) const { system.template multiply<Accumulate>(alpha, a, b, beta, c); }
  };
  template <class P, class Q, class R>
  static Product<P, Q, R> product(Accumulate alpha, View<const P, 2> a, View<const Q, 2> b, Accumulate beta, View<R, 2> c) {
    return {alpha, a, b, beta, c};
  }
  template <class Launch>
  void submit(const Launch& launch) {
    if (system_->recordings().open()) system_->recordings().add(launch); else launch(*system_);
  }

  template <class U>
  static View<const std::remove_const_t<U>, 2> constant(View<U, 2> v) {
    return {v.data, {v.shape[0], v.shape[1]}, {v.stride[0], v.stride[1]}};
  }
  template <class U>
  static View<U, 2> plane(View<U, 3> v, Index n) {
    return {v.data + n * v.stride[0], {v.shape[1], v.shape[2]}, {v.stride[1], v.stride[2]}};
  }

  std::shared_ptr<System> system_;
};

}  // namespace espalier::inline v0
