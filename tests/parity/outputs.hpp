// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/backend.hpp>
#include <espalier/core/dtype.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::test::parity {

/// What a device computes in. A device is held against the reference of its own precision.
enum class Precision { fp64, fp32, bf16 };
inline const char* name_of(Precision p) {
  return p == Precision::fp64 ? "fp64" : p == Precision::fp32 ? "fp32" : "bf16";
}

template <class Device>
inline constexpr Precision precision_of = std::is_same_v<typename Device::Weight, BFloat16>       ? Precision::bf16
                                          : std::is_same_v<typename Device::Accumulate, double> ? Precision::fp64
                                                                                                : Precision::fp32;

/// How far an array may be from what it is held against.
enum class Match {
  exact,    ///< the same numbers: arithmetic on them is exact
  rounded,  ///< the same numbers once both are rounded to what activations are stored in
  near,     ///< the normalised mean-square error is within the bound of the precision
  each,     ///< every number by itself is within `bound`, relatively
  most,     ///< the same numbers but for a share of `bound`: choices between what is nearly equal
  kept,     ///< in the record for what is to follow; by itself held against the other runs only
  repeats,  ///< held against the other runs on this device only
};

/// One array that a case has computed.
struct Output {
  std::string name;
  Match match;
  std::vector<double> numbers;
  /// What to hold it against when that is not the reference: something else that the device computed.
  std::vector<double> expected = {};
  double bound = 0;  ///< of Match::each and Match::most
};

template <class T>
std::vector<double> as_doubles(const std::vector<T>& x) {
  std::vector<double> y;
  y.reserve(x.size());
  for (const T& v : x) y.push_back(widen<double>(v));
  return y;
}
/// n numbers of a device.
template <class Device, class T>
std::vector<double> fetch(Device& device, const T* from, Index n) {
  std::vector<T> x(static_cast<std::size_t>(n));
  device.download(from, x.data(), n);
  return as_doubles(x);
}

/// What one run of a case has computed.
class Outputs {
 public:
  void add(std::string name, Match match, std::vector<double> numbers) {
    list.push_back({std::move(name), match, std::move(numbers)});
  }
  template <class Device, class T, int Rank>
  void exact(Device& device, std::string name, View<T, Rank> x) {
    add(std::move(name), Match::exact, fetch(device, x.data, x.size()));
  }
  template <class Device, class T, int Rank>
  void rounded(Device& device, std::string name, View<T, Rank> x) {
    add(std::move(name), Match::rounded, fetch(device, x.data, x.size()));
  }
  template <class Device, class T, int Rank>
  void near(Device& device, std::string name, View<T, Rank> x) {
    add(std::move(name), Match::near, fetch(device, x.data, x.size()));
  }
  /// Two ways to the same numbers, on one device.
  void agree(std::string name, std::vector<double> numbers, std::vector<double> expected, Match match = Match::near) {
    list.push_back({std::move(name), match, std::move(numbers), std::move(expected)});
  }
  void holds(std::string name, bool truth) { agree(std::move(name), {truth ? 1.0 : 0.0}, {1.0}, Match::exact); }

  std::vector<Output> list;
};

}  // namespace espalier::test::parity
