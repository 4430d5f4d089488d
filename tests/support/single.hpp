// SPDX-License-Identifier: MIT
#pragma once
// The projections that the oracle computes with, on any device.
#include <cstdint>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/adapter/sequential.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/nn/group.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::test {

/// The generator of the oracle's inputs.                                         Steele, Lea & Flood 2014, SplitMix64
class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  std::vector<double> uniform(Index n, double low = -1, double high = 1) {
    std::vector<double> out;
    for (Index i = 0; i < n; ++i) out.push_back(low + (high - low) * (double(next() >> 11) * 0x1p-53));
    return out;
  }

 private:
  std::uint64_t state_;
};

/// One projection with an adapter as a whole model: the loss is ½ Σ (z − target)² / tokens, and its rows or columns are
/// the units of one group.
template <Backend Device, template <class> class Adapter = LowRankAdapter>
class Single {
 public:
  using DeviceType = Device;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;

  Single(Device& device, Index out, Index in, bool bias, const LowRankOptions& adapter, Axis unit_axis,
         Index unit_width, std::string kind = "channels")
      : projection(device, in, out, bias, "p", adapter),
        axis(unit_axis),
        width(unit_width),
        run(device),
        units(device, (unit_axis == Axis::rows ? out : in) / unit_width),
        kind_(std::move(kind)) {
    run.arena.bind(device, [this](auto&& f) { for_each_parameter(*this, [&](const auto&, auto& p) { f(p); }); });
  }

  /// Numbers in the oracle's order.
  void set(const std::vector<double>& w, const std::vector<double>& a, const std::vector<double>& b,
           const std::vector<double>& bias) {
    put(projection.weight.view().data, w);
    put(projection.adapter.a.value.data, a), put(projection.adapter.b.value.data, b);
    if (!bias.empty()) put(projection.bias.view().data, bias);
  }

  /// Forward and backward, adding to the gradients. `mask`, if any, multiplies z and then dz.
  double loss(const std::vector<double>& x, const std::vector<double>& target, const std::vector<double>& mask = {}) {
    const Index in = projection.in(), out = projection.out(), n = Index(x.size()) / in;
    run.publish();
    Pass<Device> pass(run.workspace, {1, n}, run.on_device(), true);
    auto input = pass.matrix(n, in);
    put(input.data, x);
    typename Projection::Activations act;
    auto dz = seen(projection.forward(pass, input, act));
    double sum = 0;
    for (std::size_t k = 0; k < dz.size(); ++k) {
      const double m = mask.empty() ? 1.0 : mask[k % std::size_t(out)], e = dz[k] * m - target[k];
      sum += e * e / 2 / double(n);
      dz[k] = e * m / double(n);
    }
    auto gradient = pass.matrix(n, out), dx = pass.zeros(n, in);
    put(gradient.data, dz);
    projection.backward(pass, gradient, act, dx);
    return sum;
  }
  /// z of x, outside training.
  std::vector<double> outputs(const std::vector<double>& x) {
    const Index in = projection.in(), n = Index(x.size()) / in;
    Pass<Device> pass(run.workspace, {1, n});
    auto input = pass.matrix(n, in);
    put(input.data, x);
    typename Projection::Activations act;
    return seen(projection.forward(pass, input, act));
  }
  void zero_gradients() { run.device->for_each(run.arena.size(), kernel::Fill<A>{run.arena.grad(), A(0)}); }

  template <class F>
  void groups(F&& f) {
    f(Group<Device, Projection>{kind_, 0, &units, {{&projection, axis, width}}});
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("p", self.projection);
  }

  Projection projection;
  Axis axis;
  Index width;
  RunState<Device> run;
  UnitMask<Device> units;

 private:
  template <class T>
  void put(T* to, const std::vector<double>& from) {
    std::vector<T> x;
    for (const double v : from) x.push_back(T(v));
    run.device->upload(to, x.data(), Index(x.size()));
  }
  template <class T>
  std::vector<double> seen(View<T, 2> there) {
    std::vector<std::remove_const_t<T>> x(std::size_t(there.size()));
    run.device->download(there.data, x.data(), there.size());
    return std::vector<double>(x.begin(), x.end());
  }
  std::string kind_;
};

/// The sequential case of the oracle: inputs made again, never read.
struct SequentialCase {
  static constexpr Index out = 5, in = 7, rank = 2, tokens = 6;
  std::vector<double> w, a, b, bias, x, y;

  SequentialCase() {
    SplitMix64 random(18403);
    w = random.uniform(out * in);
    a = random.uniform(rank * out, -0.5, 0.5);
    b = random.uniform(out * rank, -0.25, 0.25);
    bias = random.uniform(out, -0.1, 0.1);
    x = random.uniform(tokens * in);
    y = random.uniform(tokens * out);
  }
  template <Backend Device>
  auto model(Device& device, Axis axis, Index width) const {
    Single<Device, SequentialAdapter> m(device, out, in, true, {.rank = rank, .alpha = 4}, axis, width);
    m.set(w, a, b, bias);
    return m;
  }
};

/// The parallel case of the oracle: inputs made again, never read.
struct ParallelCase {
  static constexpr Index out = 6, in = 8, rank = 2, tokens = 5;
  std::vector<double> w, a, b, bias, x, y;

  ParallelCase() {
    SplitMix64 random(20230528);
    w = random.uniform(out * in);
    a = random.uniform(rank * in, -0.5, 0.5);
    b = random.uniform(out * rank, -0.25, 0.25);
    bias = random.uniform(out, -0.1, 0.1);
    x = random.uniform(tokens * in);
    y = random.uniform(tokens * out);
  }
  static LowRankOptions adapter() { return {.rank = rank, .alpha = 4}; }
  template <Backend Device>
  Single<Device, LowRankAdapter> model(Device& device, Axis axis, Index width) const {
    Single<Device, LowRankAdapter> m(device, out, in, true, adapter(), axis, width);
    m.set(w, a, b, bias);
    return m;
  }
};

}  // namespace espalier::test
