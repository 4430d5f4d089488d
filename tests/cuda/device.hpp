// SPDX-License-Identifier: MIT
#pragma once
#include <doctest/doctest.h>

#include <espalier/backend/cuda.hpp>
#include <espalier/core/tensor.hpp>
#include <vector>

namespace espalier::test {

/// What lies in a device's memory.
template <class Device, class T>
std::vector<T> seen(Device& device, const T* data, Index n) {
  std::vector<T> out(static_cast<std::size_t>(n));
  device.download(data, out.data(), n);
  return out;
}

/// Numbers of the host in a device's memory.
template <class Device, class T>
typename Device::template Buffer<T> there(Device& device, const std::vector<T>& x) {
  typename Device::template Buffer<T> buffer(device, Index(x.size()));
  device.upload(buffer.data(), x.data(), buffer.size());
  return buffer;
}

/// Small whole numbers: exact in every type, and their sums in any order.
template <class T>
std::vector<T> whole(Index n, int most, unsigned seed = 1) {
  std::vector<T> x;
  for (Index i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    x.push_back(T(float(int(seed >> 16) % (2 * most + 1) - most)));
  }
  return x;
}

}  // namespace espalier::test
