// SPDX-License-Identifier: MIT
// The LoRA-guided score of one projection against what the machine needs to read W once, and to do the 6 r operations an
// element at its peak: the greater of the two is the bound.
#include <benchmark/benchmark.h>

#include <espalier/backend/cpu.hpp>
#include <espalier/core/dtype.hpp>
#include <espalier/kernel/taylor_tiles.hpp>

#include "machine.hpp"

namespace {

using namespace espalier;

template <class W>
void score(benchmark::State& state, bool by_rows) {
  const Index out = state.range(0), in = state.range(1), rank = state.range(2);
  Cpu<float, W> device;
  HostBuffer<W> w(device, out * in);
  HostBuffer<float> a(device, rank * in), b(device, out * rank), da(device, rank * in), db(device, out * rank),
      scores(device, by_rows ? out : in), read(device, out * in / 2);
  for (Index i = 0; i < out * in; ++i) w.data()[i] = W(float(i % 7) * 0.1f);
  for (Index i = 0; i < read.size(); ++i) read.data()[i] = 1;
  for (Index i = 0; i < rank * in; ++i) a.data()[i] = 0.01f * float(i % 5), da.data()[i] = 0.001f * float(i % 3);
  for (Index i = 0; i < out * rank; ++i) b.data()[i] = 0.01f * float(i % 4), db.data()[i] = 0.001f * float(i % 6);
  const kernel::LowRankSum<W, float> weight{matrix<const W>(w.data(), out, in),
                                            matrix<const float>(b.data(), out, rank),
                                            matrix<const float>(a.data(), rank, in), 2.0f};
  const kernel::TaylorElement<W, float> element{
      weight, matrix<const float>(db.data(), out, rank), matrix<const float>(da.data(), rank, in), 1, 1, Power::square,
      nullptr};
  const auto once = [&] {
    if (by_rows) {
      const kernel::TaylorRows<W, float> rows{{element, vector(scores.data(), out)}};
      device.for_each_row(rows.blocks(), rows);
    } else {
      const kernel::TaylorColumns<W, float> columns{{element, vector(scores.data(), in)}};
      device.for_each_row(columns.blocks(), columns);
    }
  };
  once();
  std::vector<double> cpu, wall, bandwidth, peak;
  for (auto _ : state) {
    const double start = machine::cpu_seconds(), from = machine::wall_seconds();
    once();
    wall.push_back(machine::wall_seconds() - from), cpu.push_back(machine::cpu_seconds() - start);
    bandwidth.push_back(machine::read_rate(read.data(), std::size_t(read.size())));
    peak.push_back(machine::fma_rate(20000));
  }
  const double reading = double(out * in) * double(sizeof(W)) / machine::median(bandwidth);
  const double computing = 6 * double(rank) * double(out * in) / machine::median(peak);
  state.counters["cpu_ms"] = 1e3 * machine::median(cpu);
  state.counters["wall_ms"] = 1e3 * machine::median(wall);
  state.counters["read_ms"] = 1e3 * reading;
  state.counters["fma_ms"] = 1e3 * computing;
  state.counters["over_bound"] = machine::median(cpu) / std::max(reading, computing);
  state.counters["read_GB/s"] = machine::median(bandwidth) * 1e-9;
}

void rows(benchmark::State& state) { score<float>(state, true); }
void columns(benchmark::State& state) { score<float>(state, false); }
void rows_bf16(benchmark::State& state) { score<BFloat16>(state, true); }
void columns_bf16(benchmark::State& state) { score<BFloat16>(state, false); }

#define SHAPES                          \
  Args({11008, 4096, 8})                \
      ->Args({4096, 11008, 8})          \
      ->Args({2048, 768, 8})            \
      ->Args({768, 2048, 8})            \
      ->Args({11008, 4096, 64})         \
      ->ArgNames({"out", "in", "rank"}) \
      ->Unit(benchmark::kMillisecond)
BENCHMARK(rows)->SHAPES;
BENCHMARK(columns)->SHAPES;
BENCHMARK(rows_bf16)->Args({11008, 4096, 8})->ArgNames({"out", "in", "rank"})->Unit(benchmark::kMillisecond);
BENCHMARK(columns_bf16)->Args({4096, 11008, 8})->ArgNames({"out", "in", "rank"})->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
