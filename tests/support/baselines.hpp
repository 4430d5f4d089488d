// SPDX-License-Identifier: MIT
#pragma once
#include "gradients.hpp"
#include "oracle_numbers.hpp"

namespace espalier::test {

/// The oracle's weight and inputs of scores that look at inputs: made again, never read. No bias, no adapter.
struct BaselineCase {
  static constexpr Index out = 4, in = 6, tokens = 12;
  std::vector<double> w, x;

  BaselineCase() {
    SplitMix64 random(424242);
    w = random.uniform(out * in);
    x = random.uniform(tokens * in);
  }
  template <Backend Device>
  Single<Device> model(Device& device, Axis axis, Index width) const {
    Single<Device> m(device, out, in, false, {.rank = 1, .targets = {"nothing"}}, axis, width);
    m.set(w, {}, {}, {});
    return m;
  }
  /// Forward and backward of some tokens.
  template <class Model>
  void pass(Model& model, Index first = 0, Index count = tokens) const {
    model.loss({x.begin() + first * in, x.begin() + (first + count) * in},
               std::vector<double>(std::size_t(count * out), 0.0));
  }
  /// Elements (out, in) added up over units of `width` rows or columns.
  std::vector<double> units(const std::vector<double>& elements, Axis axis, Index width) const {
    std::vector<double> sum(std::size_t((axis == Axis::rows ? out : in) / width), 0.0);
    for (Index i = 0; i < out; ++i)
      for (Index j = 0; j < in; ++j)
        sum[std::size_t((axis == Axis::rows ? i : j) / width)] += elements[std::size_t(i * in + j)];
    return sum;
  }
};

}  // namespace espalier::test
