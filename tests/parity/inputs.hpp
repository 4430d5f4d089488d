// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/error.hpp>
#include <espalier/core/random.hpp>
#include <espalier/core/tensor.hpp>
#include <espalier/core/visit.hpp>
#include <string>
#include <vector>

#include "parity/outputs.hpp"

namespace espalier::test::parity {

/// Numbers as a function of (seed, index): uniform within `half` of the centre, the same in every precision.
template <class T>
std::vector<T> drawn(Index n, std::uint64_t seed, double half = 0.5, double centre = 0) {
  const RandomStream stream{seed, Purpose::test};
  std::vector<T> x;
  for (Index i = 0; i < n; ++i)
    x.push_back(T(float(centre + half * (2 * stream.uniform(std::uint64_t(i)) - 1))));
  return x;
}
/// Integers from −most to most.
template <class T>
std::vector<T> integers(Index n, std::uint64_t seed, int most) {
  const RandomStream stream{seed, Purpose::test, 1};
  std::vector<T> x;
  for (Index i = 0; i < n; ++i)
    x.push_back(T(float(int(stream.bits(std::uint64_t(i)) % std::uint32_t(2 * most + 1)) - most)));
  return x;
}
/// What flows between modules: where a device of this precision stores it in bf16, everybody is given it so.
template <class Device>
std::vector<typename Device::Activation> activations(Index n, std::uint64_t seed, double half = 0.5) {
  auto x = drawn<typename Device::Activation>(n, seed, half);
  if constexpr (precision_of<Device> == Precision::bf16)
    for (auto& v : x) v = typename Device::Activation(float(BFloat16(float(v))));
  return x;
}

/// Host numbers on their way to a device.
template <class Device, class T>
void put(Device& device, View<T, 2> to, const std::vector<T>& from) {
  device.upload(to.data, from.data(), Index(from.size()));
}
template <class Device, class T>
typename Device::template Buffer<T> on_device(Device& device, const std::vector<T>& from) {
  typename Device::template Buffer<T> buffer(device, Index(from.size()));
  device.upload(buffer.data(), from.data(), Index(from.size()));
  return buffer;
}

/// Gives every tensor and parameter of a module numbers that depend on the seed alone; gains lie around one.
template <class Device, class M>
void randomise(Device& device, M& m, std::uint64_t seed, double half = 0.5) {
  walk(m, [&](const std::string& path, auto& node) {
    using Node = std::remove_cvref_t<decltype(node)>;
    ++seed;
    if constexpr (espalier::detail::is_tensor<Node>) {
      bool gain = false;
      for (const char* norm : {"norm", "Norm", "ln_"}) gain = gain || path.find(norm) != std::string::npos;
      const double centre = gain ? 1 : 0;
      device.upload(node.view().data, drawn<typename Node::Element>(node.size(), seed, half, centre).data(), node.size());
    }
    if constexpr (espalier::detail::is_parameter<Node>)
      device.upload(node.value.data, drawn<typename Node::T>(node.size(), seed, half).data(), node.size());
  });
}

/// Weights so small that one layer after another does not magnify what bf16 has rounded off.
inline constexpr double kCalm = 0.15;

/// Every k-th bit is off.
inline std::vector<std::uint8_t> all_but_every(Index k, Index n) {
  std::vector<std::uint8_t> bits(static_cast<std::size_t>(n), 1);
  for (Index i = k - 1; i < n; i += k) bits[static_cast<std::size_t>(i)] = 0;
  return bits;
}

}  // namespace espalier::test::parity
