// SPDX-License-Identifier: MIT
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <espalier/backend/cuda.hpp>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "shared_heap.hpp"
#include "support/every_kernel.hpp"

namespace espalier::test {

/// Largest difference by the largest number.
inline double difference(const std::vector<double>& a, const std::vector<double>& b) {
  double error = 0, size = 1e-300;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const bool alike = a[i] == b[i] || (a[i] != a[i] && b[i] != b[i]);
    error = std::max(error, alike ? 0.0 : std::abs(a[i] - b[i])), size = std::max(size, std::abs(b[i]));
  }
  return error / size;
}

/// Launches a kernel on the host and on the device, from the same beginning, and compares what came out.
class LaunchOnBoth {
 public:
  LaunchOnBoth(Cuda<float>& device, double most, bool equal) : device_(device), most_(most), equal_(equal) {}

  template <class Kernel, class... Output>
  void operator()(const char* name, Sums sums, Index rows, const Kernel& kernel, Output&... outputs) {
    CAPTURE(std::string(name));
    const auto begin = std::make_tuple(std::vector(outputs)...);
    std::vector<std::byte> scratch;
    if constexpr (requires { kernel.scratch_bytes(); }) scratch.resize(std::size_t(kernel.scratch_bytes()));
    DeviceTeam<detail::WarpPlace<1>> alone{{{scratch.data(), Index(scratch.size())}}};  // on the host: a team of one
    for (Index i = 0; i < rows; ++i) kernel(alone, i);
    const std::vector<std::vector<double>> host{numbers_of(outputs)...};
    put(begin, outputs...);
    device_.for_each_row(rows, kernel);
    device_.system().wait();
    const std::vector<std::vector<double>> there{numbers_of(outputs)...};
    put(begin, outputs...);
    device_.for_each_row(rows, kernel);
    device_.system().wait();
    const std::vector<std::vector<double>> again{numbers_of(outputs)...};
    for (std::size_t o = 0; o < host.size(); ++o) {
      CHECK(difference(there[o], host[o]) <= (equal_ && sums == Sums::exact ? 0.0 : most_));
      CHECK(difference(again[o], there[o]) == 0);  // the same bits
    }
    ++launched;
  }
  int launched = 0;

 private:
  template <class Tuple, class... Output>
  static void put(const Tuple& from, Output&... outputs) {  // the same memory, which the kernel points at
    const auto copy = [](const auto& a, auto& b) { std::copy(a.begin(), a.end(), b.begin()); };
    std::apply([&](const auto&... x) { (copy(x, outputs), ...); }, from);
  }
  Cuda<float>& device_;
  double most_;
  bool equal_;
};

template <class T, class A>
void check_every_kernel(double most, bool equal) {
  Cuda<float> device;
  const SharedHeap heap;
  LaunchOnBoth launch(device, most, equal);
  every_kernel<T, A>(launch);
  CHECK(launch.launched > 25);
}

}  // namespace espalier::test
