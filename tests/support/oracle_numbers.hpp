// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/adapter/sequential.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/nn/group.hpp>
#include <nlohmann/json.hpp>
#include <vector>

namespace espalier::test {

/// tests/data/oracle.json, made by tests/python/oracle.py.
const nlohmann::json& oracle_numbers();
/// tests/data/importance.json, made by tests/python/make_importance_golden.py.
const nlohmann::json& importance_numbers();
/// tests/data/weights.json, made by tests/python/make_weight_golden.py.
const nlohmann::json& weight_numbers();
/// A vector or matrix of the file, row by row.
std::vector<double> numbers(const nlohmann::json& x);

template <class T, int R>
std::vector<double> as_doubles(View<T, R> v) {
  return std::vector<double>(v.data, v.data + v.size());
}

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

  /// Fills from numbers in the oracle's order.
  void set(const std::vector<double>& w, const std::vector<double>& a, const std::vector<double>& b,
           const std::vector<double>& bias) {
    fill(projection.weight.view().data, w);
    fill(projection.adapter.a.value.data, a), fill(projection.adapter.b.value.data, b);
    if (!bias.empty()) fill(projection.bias.view().data, bias);
  }

  /// Forward and backward, adding to the gradients. `mask`, if any, multiplies z and then dz.
  double loss(const std::vector<double>& x, const std::vector<double>& target, const std::vector<double>& mask = {}) {
    const Index in = projection.in(), out = projection.out(), n = Index(x.size()) / in;
    run.publish();
    Pass<Device> pass(run.workspace, {1, n}, run.on_device(), true);
    auto input = pass.matrix(n, in);
    fill(input.data, x);
    typename Projection::Activations act;
    const auto z = projection.forward(pass, input, act);
    auto dz = pass.matrix(n, out), dx = pass.zeros(n, in);
    double sum = 0;
    for (Index t = 0; t < n; ++t)
      for (Index i = 0; i < out; ++i) {
        const double m = mask.empty() ? 1.0 : mask[std::size_t(i)];
        const double e = double(z(t, i)) * m - target[std::size_t(t * out + i)];
        sum += e * e / 2 / double(n);
        dz(t, i) = A(e * m / double(n));
      }
    projection.backward(pass, dz, act, dx);
    return sum;
  }
  /// z of x, outside training.
  std::vector<double> outputs(const std::vector<double>& x) {
    const Index in = projection.in(), n = Index(x.size()) / in;
    Pass<Device> pass(run.workspace, {1, n});
    auto input = pass.matrix(n, in);
    fill(input.data, x);
    typename Projection::Activations act;
    const auto z = projection.forward(pass, input, act);
    return std::vector<double>(z.data, z.data + z.size());
  }
  void zero_gradients() {
    for (Index i = 0; i < run.arena.size(); ++i) run.arena.grad()[i] = 0;
  }

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
  static void fill(T* to, const std::vector<double>& from) {
    for (std::size_t i = 0; i < from.size(); ++i) to[i] = T(from[i]);
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
  Single<Device> model(Device& device, Axis axis, Index width) const {
    Single<Device> m(device, out, in, true, adapter(), axis, width);
    m.set(w, a, b, bias);
    return m;
  }
};

}  // namespace espalier::test
