// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <ctime>
#include <vector>

// What this machine can do, measured in the same run as what we make of it. Times are processor seconds of the whole
// process: what other programs do in the meantime counts less than on the wall clock.
namespace machine {

inline double seconds(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}
inline double cpu_seconds() { return seconds(CLOCK_PROCESS_CPUTIME_ID); }
inline double wall_seconds() { return seconds(CLOCK_MONOTONIC); }

inline double median(std::vector<double> x) {
  if (x.empty()) return 0;
  std::sort(x.begin(), x.end());
  return x[x.size() / 2];
}

#if defined(__AVX512F__)
using Lanes = float __attribute__((vector_size(64)));
#elif defined(__AVX__)
using Lanes = float __attribute__((vector_size(32)));
#else
using Lanes = float __attribute__((vector_size(16)));
#endif

/// Floating-point operations a second of one thread in multiply-adds that wait for nothing.
inline double fma_rate(long rounds = 100000) {
  Lanes a[12] = {}, x = {}, y = {};
  x += 0.999999f, y += 1e-7f;
  for (auto& v : a) asm volatile("" : "+x"(v));  // twelve chains, not one that stands for all
  const double start = cpu_seconds();
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) a[i] = a[i] * x + y;
    asm volatile("" : "+x"(x), "+x"(y));
  }
  const double time = cpu_seconds() - start;
  for (auto& v : a) asm volatile("" : "+x"(v));
  return 2.0 * 12 * double(sizeof(Lanes) / sizeof(float)) * double(rounds) / time;
}

/// Bytes a second of one thread that only adds up what it reads.
inline double read_rate(const float* p, std::size_t n) {
  Lanes a[8] = {};
  const auto* v = reinterpret_cast<const Lanes*>(p);
  const std::size_t steps = n * sizeof(float) / sizeof(Lanes) / 8;
  const double start = cpu_seconds();
  for (std::size_t s = 0; s < steps; ++s)
    for (int i = 0; i < 8; ++i) a[i] += v[8 * s + std::size_t(i)];
  const double time = cpu_seconds() - start;
  for (auto& x : a) asm volatile("" : "+x"(x));
  return double(steps * 8 * sizeof(Lanes)) / time;
}

}  // namespace machine
