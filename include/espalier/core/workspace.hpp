// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <espalier/core/backend.hpp>
#include <espalier/core/error.hpp>
#include <espalier/core/step.hpp>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// How many sequences of how many tokens.
struct Shape {
  Index batch = 1, seq = 1;
  Index tokens() const { return batch * seq; }
};

namespace detail {
template <class T>
struct Zero {
  T* x;
  ESPALIER_FN void operator()(Index i) const { x[i] = T(0.0f); }
};
}  // namespace detail

/// A stack of scratch memory on a device. The first pass finds out how much is needed; once it has ended the pieces
/// become one block, and later passes of that size allocate nothing.
template <Backend Device>
class Workspace {
 public:
  explicit Workspace(Device& device) : device_(&device) {}
  Device& device() const { return *device_; }
  /// The most bytes ever in use at once.
  Index peak() const { return peak_; }
  /// Forgets the size, e.g. after compaction: the next pass measures anew.
  void reset() { chunks_.clear(), sizes_.clear(), at_ = {}, peak_ = 0; }

 private:
  template <Backend>
  friend class Pass;
  static constexpr Index kAlign = 64, kLeast = Index{1} << 20;
  struct Mark {
    std::size_t chunk = 0;
    Index top = 0, used = 0;
  };

  std::byte* take(Index bytes) {
    bytes = (bytes + kAlign - 1) / kAlign * kAlign;
    while (at_.chunk < chunks_.size() && at_.top + bytes > sizes_[at_.chunk]) ++at_.chunk, at_.top = 0;
    if (at_.chunk == chunks_.size()) {
      Index total = kLeast;
      for (Index s : sizes_) total += s;
      const Index size = std::max(bytes, total / 2);
      sizes_.reserve(sizes_.size() + 1);  // both lists grow or, where the device has no room, neither
      chunks_.emplace_back(*device_, size);
      sizes_.push_back(size);
    }
    std::byte* p = chunks_[at_.chunk].data() + at_.top;
    at_.top += bytes, at_.used += bytes;
    peak_ = std::max(peak_, at_.used);
    return p;
  }
  void rewind(Mark mark) noexcept {
    at_ = mark;
    if (at_.used != 0 || chunks_.size() < 2) return;
    try {
      chunks_.clear();
      sizes_.clear();
      chunks_.emplace_back(*device_, peak_);
      sizes_.push_back(peak_);
    } catch (...) {  // no single block of that size: go on in pieces
      chunks_.clear(), sizes_.clear();
    }
    at_ = {};
  }

  Device* device_;
  std::vector<typename Device::template Buffer<std::byte>> chunks_;
  std::vector<Index> sizes_;
  Mark at_;
  Index peak_ = 0;
};

/// One trip through a network. What forward takes, backward may read; the stack rewinds when the pass ends.
template <Backend Device>
class Pass {
 public:
  using Activation = typename Device::Activation;
  using Accumulate = typename Device::Accumulate;

  Pass(Workspace<Device>& workspace, Shape s, const StepState* step = nullptr, bool train = false)
      : device(workspace.device()), shape(s), state(step), training(train), workspace_(workspace),
        mark_(workspace.at_) {}
  ~Pass() { workspace_.rewind(mark_); }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  /// A shorter pass inside this one, for temporaries.
  [[nodiscard]] Pass scratch() { return Pass(workspace_, shape, state, training); }

  template <class T = Activation>
  View<T, 2> matrix(Index rows, Index cols) {
    return espalier::matrix(take<T>(rows * cols), rows, cols);
  }
  template <class T = Accumulate>
  View<T, 1> vector(Index n) {
    return espalier::vector(take<T>(n), n);
  }
  template <class T = Activation>
  View<T, 2> zeros(Index rows, Index cols) {
    auto m = matrix<T>(rows, cols);
    device.for_each(m.size(), detail::Zero<T>{m.data});
    return m;
  }
  template <class T = Accumulate>
  View<T, 1> zeros(Index n) {
    auto v = vector<T>(n);
    device.for_each(n, detail::Zero<T>{v.data});
    return v;
  }

  Device& device;
  const Shape shape;
  const StepState* const state;  ///< on the device; null outside training
  const bool training;           ///< dropout is on

 private:
  template <class T>
  T* take(Index n) {
    return reinterpret_cast<T*>(workspace_.take(n * Index(sizeof(T))));
  }
  Workspace<Device>& workspace_;
  const typename Workspace<Device>::Mark mark_;
};

/// forward returns y and remembers what backward needs; backward adds to dx and to the gradients of parameters.
/// A dx without data means that nobody below wants it.
template <class M, class Device>
concept Module = Backend<Device> &&
    requires(M& m, Pass<Device>& pass, View<const typename Device::Activation, 2> in,
             View<typename Device::Activation, 2> out, typename M::Activations act) {
      { m.forward(pass, in, act) } -> std::same_as<View<typename Device::Activation, 2>>;
      m.backward(pass, in, act, out);
    };

}  // namespace espalier::inline v0
