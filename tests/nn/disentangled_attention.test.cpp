// SPDX-License-Identifier: MIT
// Disentangled attention in its block: its backward is the derivative, whatever stands beside or behind its maps, and heads leave
// it whole.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/adapter/sequential.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/nn/disentangled_attention.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>

#include "allocations.hpp"
#include "derivative.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr Shape kShape{3, 5};
constexpr Index kHidden = 8, kReach = 1024, kFirst = 5;  // of distance 0 among 9 positions, those farther than 3 together
const int kVisible[] = {1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0};
struct Names {
  static constexpr const char *query = "q", *key = "k", *value = "v", *out = "o", *position_key = "pk", *position_query = "pq";
};

/// The module with its context.
template <class Device, template <class> class Adapter>
struct Placed {
  using DeviceType = Device;
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  using Module = DisentangledAttention<Device, Adapter, Names>;
  using Activations = typename Module::Activations;

  Placed(Device& device, const DisentangledOptions& o, bool pad, bool mask, double drop) : run(device), embeddings(device, 9, kHidden) {
    typename Projection::Options options{};
    if constexpr (requires { options.rank; }) options.rank = 2;
    if constexpr (requires { options.dropout; }) options.dropout = drop;
    module = Module(device, o, "attention", options);
    module.dropout = {drop, 101}, module.position_dropout = {drop, 102};
    if (mask) module.units.set(device, {1, 0, 1});
    for (int d = -int(kReach); d <= int(kReach); ++d) index.push_back(std::clamp(d, -4, 3) + kFirst);
    if (pad) sees.visible = kVisible;
  }
  typename Module::Context context() const { return {sees, embeddings.view(), index.data() + kReach}; }
  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const { return module.forward(pass, x, act, context()); }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx) { module.backward(pass, dy, act, dx, context()); }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("", self.module);
    f("embeddings", self.embeddings);
  }
  template <class F>
  void groups(F&& f) {
    f(module.group(0));
  }
  Module module;
  RunState<Device> run;
  Tensor<Device, T, 2> embeddings;
  kernel::Padding sees{};
  std::vector<int> index;
};

DisentangledOptions options(bool shared, bool c2p = true, bool p2c = true) { return {kHidden, 3, 3, c2p, p2c, shared}; }
template <template <class> class Adapter>
auto make(const DisentangledOptions& o, bool pad, bool mask, double drop = 0) {
  return [=](auto& device) { return Placed<std::remove_reference_t<decltype(device)>, Adapter>(device, o, pad, mask, drop); };
}
template <class Device, template <class> class Adapter>
double error(const DisentangledOptions& o, bool pad, bool mask, double drop = 0) {
  const auto maker = make<Adapter>(o, pad, mask, drop);
  return worst_error(backward_gradients<Device>(maker, kShape, kHidden, drop > 0), complex_step_gradients(maker, kShape, kHidden, drop > 0));
}

template <template <class> class Adapter>
void expect_compacted(bool shared) {
  Cpu<double> device;
  for (const bool pad : {false, true}) {
    Placed<Cpu<double>, Adapter> model(device, options(shared), pad, true, 0.2);
    model.run.arena.bind(device, [&](auto&& f) { for_each_parameter(model, [&](const auto&, auto& p) { f(p); }); });
    randomise(model, 4);
    const auto outputs = [&](bool training = false) {
      Pass<Cpu<double>> pass(model.run.workspace, kShape, model.run.on_device(), training);
      auto x = pass.matrix(kShape.tokens(), kHidden);
      fill(x.data, x.size(), 3);
      typename decltype(model)::Activations act;
      const auto y = model.forward(pass, x, act);
      return std::vector<double>(y.data, y.data + y.size());
    };
    const auto masked = outputs(), dropped = outputs(true);
    CHECK(relative_error(dropped, masked) > 1e-2);
    const Index before = count_parameters(model), maps = shared ? 3 : 5;
    compact(model);
    CHECK(count_parameters(model) == before - maps * 3 * (kHidden + 1) - 3 * kHidden);
    CHECK(relative_error(outputs(), masked) <= 1e-12);
    CHECK(relative_error(outputs(true), dropped) <= 1e-12);  // compaction does not shift what is dropped
    merge(model);
    CHECK(relative_error(outputs(), masked) <= 1e-12);
  }
}

}  // namespace

TEST_CASE("backward is the derivative of forward, with maps shared or apart, with and without padding and masks") {
  using Device = Cpu<double>;
  for (const bool shared : {true, false})
    for (const bool pad : {false, true})
      for (const bool mask : {false, true}) {
        CAPTURE(shared);
        CAPTURE(pad);
        CAPTURE(mask);
        expect_derivative(make<LowRankAdapter>(options(shared), pad, mask), kShape, kHidden);
        CHECK(error<Device, SequentialAdapter>(options(shared), pad, mask) <= 1e-12);
        CHECK(error<Device, Frozen>(options(shared), pad, mask) <= 1e-12);
      }
}

TEST_CASE("with one of the two terms, with neither, and with dropout, too") {
  using Device = Cpu<double>;
  for (const bool shared : {true, false}) {
    CHECK(error<Device, LowRankAdapter>(options(shared, true, false), true, true) <= 1e-12);
    CHECK(error<Device, LowRankAdapter>(options(shared, false, true), true, true) <= 1e-12);
    CHECK(error<Device, LowRankAdapter>(options(shared, false, false), true, true) <= 1e-12);
    CHECK(error<Device, LowRankAdapter>(options(shared), true, true, 0.3) <= 1e-12);
    CHECK(error<Device, SequentialAdapter>(options(shared), true, true, 0.3) <= 1e-12);
  }
}

TEST_CASE("memory grows no faster than the sequence: scores of all pairs of tokens, and what positions add, are nowhere") {
  using Device = Cpu<double>;
  std::vector<Index> peaks;
  std::vector<long> beside;
  for (const Index seq : {kReach / 4, kReach}) {
    Device device;
    Placed<Device, LowRankAdapter> model(device, options(true), false, false, 0);
    model.run.arena.bind(device, [&](auto&& f) { for_each_parameter(model, [&](const auto&, auto& p) { f(p); }); });
    randomise(model, 3);
    const auto go = [&] {
      Pass<Device> pass(model.run.workspace, {1, seq});
      auto x = pass.matrix(seq, kHidden);
      fill(x.data, x.size(), 91);
      typename Placed<Device, LowRankAdapter>::Activations act{};
      const auto y = model.forward(pass, x, act);
      model.backward(pass, y, act, pass.zeros(seq, kHidden));
    };
    go(), go();  // the workspace becomes one block
    peaks.push_back(model.run.workspace.peak());
    beside.push_back(bytes_on_a_new_thread(go));
  }
  CHECK(peaks[0] > 0);
  CHECK(peaks[1] <= 4 * peaks[0]);
  CHECK(beside[0] > 0);
  CHECK(beside[1] == beside[0]);
}

TEST_CASE("masked == compacted == merged: heads take their rows of every map, those of positions included") {
  for (const bool shared : {true, false}) {
    expect_compacted<LowRankAdapter>(shared);
    expect_compacted<SequentialAdapter>(shared);
  }
}
