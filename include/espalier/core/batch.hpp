// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/target.hpp>
#include <espalier/core/workspace.hpp>
#include <span>

namespace espalier::inline v0 {

/// Token ids and what should follow each of them; a target of −100 is not learnt and not counted.
struct Batch {
  std::span<const int> tokens, targets;  // (batch · seq), row by row
  Shape shape;
  /// 1 / number of counted targets in the whole accumulated batch; 0: this batch stands alone.
  double weight = 0;
  /// Which part of the accumulated batch this is.
  std::uint32_t micro = 0;
  /// (batch · seq) of each token in its document, where a sequence holds several: 0 begins one, and no token sees another
  /// document. Empty: every sequence is one document.
  std::span<const int> positions = {};

  Index counted() const {
    Index n = 0;
    for (int t : targets) n += t != kIgnore;
    return n;
  }
};

/// A loss on the device. Whoever converts it to a number waits for the device; nobody else does.
template <Backend Device>
class Loss {
 public:
  Loss(Device& device, const typename Device::Accumulate* at) : device_(&device), at_(at) {}
  typename Device::Accumulate value() const {
    typename Device::Accumulate x{};
    device_->download(at_, &x, 1);
    return x;
  }
  operator double() const
    requires(std::convertible_to<typename Device::Accumulate, double>)
  {
    return double(value());
  }

 private:
  Device* device_;
  const typename Device::Accumulate* at_;
};

}  // namespace espalier::inline v0
