// SPDX-License-Identifier: MIT
// Products against the multiply-adds of the same core, measured right after each of them; plain Eigen beside them.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <espalier/backend/cpu.hpp>
#include <vector>

#include "machine.hpp"

namespace {

using namespace espalier;

enum Kind { forward, backward, gradient };  // x Wᵀ, dy W, dyᵀ z

template <class W, bool PlainEigen>
void product(benchmark::State& state) {
  const Index m = state.range(0), k = state.range(1), n = state.range(2);
  const auto kind = Kind(state.range(3));
  Cpu<float, W> device;
  HostBuffer<float> a(device, m * k), c(device, m * n);
  HostBuffer<W> b(device, k * n);
  for (Index i = 0; i < a.size(); ++i) a.data()[i] = float(i % 7) * 0.1f;
  for (Index i = 0; i < b.size(); ++i) b.data()[i] = W(float(i % 5) * 0.1f);
  const View<const float, 2> x =
      kind == gradient ? matrix<const float>(a.data(), k, m).t() : matrix<const float>(a.data(), m, k);
  const View<const W, 2> y = kind == forward ? matrix<const W>(b.data(), n, k).t() : matrix<const W>(b.data(), k, n);
  const auto z = matrix(c.data(), m, n);
  const auto once = [&] {
    if constexpr (PlainEigen) {
      using Plain = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
      using In = Eigen::Map<const Plain>;
      Eigen::Map<Plain> out(c.data(), m, n);
      if (kind == forward) out.noalias() = In(a.data(), m, k) * In(b.data(), n, k).transpose();
      if (kind == backward) out.noalias() = In(a.data(), m, k) * In(b.data(), k, n);
      if (kind == gradient) out.noalias() = In(a.data(), k, m).transpose() * In(b.data(), k, n);
    } else {
      device.gemm(1, x, y, 0, z);
    }
  };
  once();
  std::vector<double> times, peaks;
  for (auto _ : state) {
    const double start = machine::cpu_seconds();
    once();
    times.push_back(machine::cpu_seconds() - start);
    peaks.push_back(machine::fma_rate(20000));
  }
  const double flops = 2 * double(m) * double(k) * double(n), rate = flops / machine::median(times);
  state.counters["GFLOP/s"] = 1e-9 * rate;
  state.counters["of_peak"] = rate / machine::median(peaks);
  state.counters["of_peak_best"] = flops / *std::min_element(times.begin(), times.end()) / machine::median(peaks);
  state.counters["peak_GFLOP/s"] = 1e-9 * machine::median(peaks);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "k", "n", "kind"})->Unit(benchmark::kMicrosecond);
  for (const auto& [m, k, n] : {std::array<long, 3>{1024, 768, 768},
                                {1024, 768, 3072},
                                {1024, 3072, 768},
                                {512, 4096, 4096},
                                {512, 4096, 11008},
                                {2048, 256, 256},
                                {2048, 256, 688}})
    for (const Kind kind : {forward, backward}) b->Args({m, k, n, kind});
  b->Args({1024, 4096, 8, forward})->Args({1024, 8, 4096, forward});    // x Aᵀ, z Bᵀ
  b->Args({4096, 1024, 8, gradient})->Args({8, 1024, 4096, gradient});  // dB, dA
}
BENCHMARK_TEMPLATE(product, float, false)->Apply(shapes)->Name("ours");
BENCHMARK_TEMPLATE(product, float, true)->Apply(shapes)->Name("eigen");
BENCHMARK_TEMPLATE(product, BFloat16, false)
    ->ArgNames({"m", "k", "n", "kind"})
    ->Unit(benchmark::kMicrosecond)
    ->Args({1024, 768, 3072, forward})
    ->Args({1024, 768, 3072, backward})
    ->Args({512, 4096, 4096, forward})
    ->Name("bf16");

}  // namespace

BENCHMARK_MAIN();
