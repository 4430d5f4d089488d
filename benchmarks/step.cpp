// SPDX-License-Identifier: MIT
// One training step: forward, backward, LoRA-guided scores and pruning events, AdamW. The same step in PyTorch:
// benchmarks/peer_torch.py; both side by side: benchmarks/compare_torch.sh.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/model/llama.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/schedule.hpp>
#include <espalier/train/adamw.hpp>
#include <optional>

#include "machine.hpp"

namespace {

using namespace espalier;

struct Configuration {
  Index layers, hidden, heads, feed_forward, vocab, batch, seq;
};
constexpr Configuration kConfigurations[] = {{4, 256, 4, 688, 256, 8, 256}, {12, 768, 12, 2048, 8192, 4, 256}};

/// Uniform numbers of standard deviation `deviation`.
template <class T>
void draw(T* x, Index n, double deviation, std::uint64_t& seed) {
  for (Index i = 0; i < n; ++i) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    x[i] = T(float((double(seed >> 40) * 0x1p-23 - 1) * 1.732 * deviation));
  }
}

template <class W>
void step(benchmark::State& state, bool prune) {
  using Device = Cpu<float, W>;
  using Model = Llama<Device, LowRankAdapter>;
  const Configuration& c = kConfigurations[state.range(0)];
  Device device;
  LlamaConfig config{.vocab = c.vocab,
                     .hidden = c.hidden,
                     .layers = c.layers,
                     .heads = c.heads,
                     .groups = c.heads,
                     .head_dim = c.hidden / c.heads,
                     .feed_forward = c.feed_forward};
  Model model(device, config, {.rank = 8, .alpha = 16});
  std::uint64_t seed = 1;
  for_each_tensor(model, [&](const std::string& name, auto& t) {
    if (name.find("norm") == std::string::npos) draw(t.view().data, t.size(), 1 / std::sqrt(double(c.hidden)), seed);
  });
  // B is not zero, so that the work of every step is the steady-state one.
  for_each_parameter(model, [&](const std::string&, auto& p) { draw(p.value.data, p.size(), 1e-2, seed); });
  std::vector<int> ids(std::size_t(c.batch * c.seq + 1));
  for (int& id : ids) id = int((seed = seed * 6364136223846793005ull + 1) >> 33) % int(c.vocab);
  const std::size_t n = ids.size() - 1;
  const Batch batch{{ids.data(), n}, {ids.data() + 1, n}, {c.batch, c.seq}};
  AdamW<Model> optimizer(model, {.rate = 1e-4});
  using Pruning = Pruner<Model, TaylorImportance, EMAMask, CubicSchedule>;
  std::optional<Pruning> pruner;
  if (prune)
    pruner.emplace(model, TaylorImportance{}, EMAMask{.decay = 0.9},
                   CubicSchedule{.begin = 0, .end = 1000, .sparsity = 0.2}, PrunerOptions{.every = 5});

  std::vector<double> cpu[4], wall;
  double loss = 0;
  const auto once = [&](bool record) {
    const double start = machine::wall_seconds();
    double marks[4] = {machine::cpu_seconds()};
    loss = model.loss(batch);
    marks[1] = machine::cpu_seconds();
    if (pruner) pruner->step();
    marks[2] = machine::cpu_seconds();
    optimizer.step();
    marks[3] = machine::cpu_seconds();
    if (!record) return;
    wall.push_back(machine::wall_seconds() - start);
    for (int k = 0; k < 3; ++k) cpu[k].push_back(marks[k + 1] - marks[k]);
    cpu[3].push_back(marks[3] - marks[0]);
  };
  once(false), once(false);
  for (auto _ : state) once(true);
  const auto least = [](const std::vector<double>& x) { return *std::min_element(x.begin(), x.end()); };
  state.counters["wall_ms"] = 1e3 * machine::median(wall);
  state.counters["wall_ms_min"] = 1e3 * least(wall);
  state.counters["cpu_ms"] = 1e3 * machine::median(cpu[3]);
  state.counters["cpu_ms_min"] = 1e3 * least(cpu[3]);
  state.counters["cpu_ms_model"] = 1e3 * machine::median(cpu[0]);
  state.counters["cpu_ms_prune"] = 1e3 * machine::median(cpu[1]);
  state.counters["cpu_ms_adamw"] = 1e3 * machine::median(cpu[2]);
  state.counters["tokens/s"] = double(n) / machine::median(wall);
  state.counters["MiB"] = double(model.run.workspace.peak()) / 1048576;
  state.counters["loss"] = loss;
}

void plain(benchmark::State& state) { step<float>(state, false); }
void pruned(benchmark::State& state) { step<float>(state, true); }
void pruned_bf16(benchmark::State& state) { step<BFloat16>(state, true); }

#define CONFIGURATIONS \
  Arg(0)->Arg(1)->ArgName("small")->UseRealTime()->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond)
BENCHMARK(plain)->CONFIGURATIONS;
BENCHMARK(pruned)->CONFIGURATIONS;
BENCHMARK(pruned_bf16)->CONFIGURATIONS;

}  // namespace

BENCHMARK_MAIN();
