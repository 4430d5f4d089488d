// SPDX-License-Identifier: MIT
// Lines to paste into a bug report.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <espalier/backend/cpu.hpp>
#include <espalier/core/tensor.hpp>
#include <espalier/io/json.hpp>
#include <thread>
#if defined(_OPENMP)
#include <omp.h>
#endif

#include "../gpu.hpp"
#include "../numbers.hpp"
#include "../table.hpp"
#include "../threads.hpp"
#include "verbs.hpp"

namespace espalier::tool {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "g++ " __VERSION__;
#else
  return "unknown";
#endif
}

std::string built_for() {
  std::string out = "x86-64";
#if defined(__AVX512F__)
  out += ", AVX-512";
#elif defined(__AVX2__)
  out += ", AVX2";
#elif defined(__AVX__)
  out += ", AVX";
#endif
#if defined(__FMA__)
  out += ", FMA";
#endif
#if !defined(__x86_64__)
  out = "not x86-64";
#endif
  return out;
}

std::string can_run() {
#if defined(__x86_64__)
  std::string out;
  if (__builtin_cpu_supports("avx2")) out += "AVX2";
  if (__builtin_cpu_supports("fma")) out += ", FMA";
  if (__builtin_cpu_supports("avx512f")) out += ", AVX-512";
  return out.empty() ? "SSE2" : out;
#else
  return "unknown";
#endif
}

/// C += A B with 768 x 768 matrices, again and again for a third of a second: the best of all runs.
double gigaflops() {
  using Device = Cpu<float>;
  Device device;
  constexpr Index n = 768;
  Tensor<Device, float, 2> a(device, n, n), b(device, n, n), c(device, n, n);
  for (Index i = 0; i < n * n; ++i) a.view().data[i] = float(i % 7) - 3, b.view().data[i] = float(i % 5) - 2;
  using Clock = std::chrono::steady_clock;
  double best = 0;
  const auto begin = Clock::now();
  while (std::chrono::duration<double>(Clock::now() - begin).count() < 0.35) {
    const auto from = Clock::now();
    device.gemm(1.0f, View<const float, 2>(a.view()), View<const float, 2>(b.view()), 0.0f, c.view());
    const double seconds = std::chrono::duration<double>(Clock::now() - from).count();
    best = std::max(best, 2.0 * double(n * n * n) / seconds / 1e9);
  }
  return best;
}

}  // namespace

int doctor(const Request& request, const Console& console) {
  use_threads(request.settings.threads);
  const double page = double(::sysconf(_SC_PAGE_SIZE));
  const double speed = gigaflops();
  json::Value facts = json::Value::object();
  facts.set("espalier", ESPALIER_VERSION_STRING);
  facts.set("compiler", compiler());
  facts.set("built_for", built_for());
  facts.set("cpu_has", can_run());
  facts.set("eigen", format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION));
#if defined(_OPENMP)
  facts.set("openmp", format("{}, {} threads", Index(_OPENMP), Index(omp_get_max_threads())));
#else
  facts.set("openmp", "not built");
#endif
  facts.set("cores", Index(std::thread::hardware_concurrency()));
  facts.set("gemm", fixed(speed, 1) + " GFLOP/s (fp32, 768 x 768, best of a third of a second)");
  facts.set("memory", bytes_text(page * double(::sysconf(_SC_PHYS_PAGES))) + ", free " +
                          bytes_text(page * double(::sysconf(_SC_AVPHYS_PAGES))));
  const CudaState cuda = cuda_state();
  facts.set("cuda", !cuda.built            ? "not built"
                    : cuda.devices.empty() ? "built with " + cuda.version + ", no device: " + cuda.why
                                           : "built with " + cuda.version);
  for (const std::string& device : cuda.devices) facts.set("cuda device " + device.substr(0, device.find(':')), device.substr(device.find(':') + 2));
  if (console.json()) {
    facts.set("gflops", speed);
    console.result(facts.dump(2) + "\n");
    return 0;
  }
  Table table;
  table.left = true;
  for (const auto& [name, value] : facts.members())
    table.rows.push_back({name, value.is_string() ? value.as_string() : value.dump()});
  console.result(table.text());
  return 0;
}

}  // namespace espalier::tool
