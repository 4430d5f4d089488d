// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/schedule.hpp>
#include <espalier/train/trainer.hpp>
#include <memory>

#include "support/compiled_training.hpp"
#include "support/tiny_model.hpp"

// Every allocation of the process is counted where all of them end: operator new, Eigen and OpenMP ask the C library.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ESPALIER_COUNTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define ESPALIER_COUNTS 0
#endif
#endif
#if !defined(__GLIBC__)
#define ESPALIER_COUNTS 0
#endif
#ifndef ESPALIER_COUNTS
#define ESPALIER_COUNTS 1
#endif

static std::atomic<long> allocations{0};

#if ESPALIER_COUNTS
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t n) noexcept { return ++allocations, __libc_malloc(n); }
void* calloc(std::size_t n, std::size_t size) noexcept { return ++allocations, __libc_calloc(n, size); }
void* realloc(void* p, std::size_t n) noexcept { return ++allocations, __libc_realloc(p, n); }
void* aligned_alloc(std::size_t align, std::size_t n) noexcept { return ++allocations, __libc_memalign(align, n); }
void* memalign(std::size_t align, std::size_t n) noexcept { return ++allocations, __libc_memalign(align, n); }
int posix_memalign(void** p, std::size_t align, std::size_t n) noexcept {
  ++allocations;
  *p = __libc_memalign(align, n);
  return *p == nullptr ? ENOMEM : 0;
}
}
#endif

using namespace espalier;
using Device = Cpu<float>;
using Model = test::TinyModel<Device>;

namespace {

/// Notes how much each step has allocated. Itself it allocates nothing.
struct Counter : Silent {
  long before = 0, during[64] = {};
  bool event[64] = {}, compaction[64] = {};
  void on_step(const StepReport& r) { during[r.step] = allocations - before, before = allocations; }
  void on_prune(const PruneReportLine& r) { event[r.step] = true, before = allocations; }
  void on_compaction(const CompactionReport& r) { compaction[r.step] = true, before = allocations; }
};

template <class Score>
Counter train(Score score, bool recompute, Compaction compaction, Packing packing) {
  Device device;
  Model model(device, {.rank = 4, .dropout = 0.1});
  model.recompute = recompute;
  AdamW optimizer(model);
  Pruner pruner(model, score, EMAMask{}, CubicSchedule{.begin = 4, .end = 40, .sparsity = 0.5},
                PrunerOptions{.every = 10});
  Trainer trainer(model, optimizer, pruner,
                  (packing == Packing::none ? test::tiny_text() : test::tiny_text().in_documents({' '})).batches(
                      {.size = 2, .length = 40, .steps = 50, .accumulate = 2, .packing = packing}),
                  {.rate = {.peak = 1e-3}, .compact = compaction});
  Counter counter;
  counter.before = allocations;
  trainer.run(counter);
  return counter;
}

template <class Score>
void check_training(Score score, bool recompute, Compaction compaction = Compaction::none, Packing packing = Packing::none) {
  const Counter counter = train(score, recompute, compaction, packing);
  CHECK(counter.during[1] > 0);
  int quiet = 0, events = 0, compactions = 0;
  for (int step = 2; step <= 50; ++step) {
    if (step % 10 == 0 && step <= 40) {
      events += counter.event[step], compactions += counter.compaction[step];
      continue;
    }
    if (counter.compaction[step - 1]) {  // the first step of a smaller model finds out how much it needs
      CHECK(counter.during[step] > 0);
      CHECK(counter.during[step] <= counter.during[1]);
      continue;
    }
    CHECK_MESSAGE(counter.during[step] == 0, "step ", step);
    ++quiet;
  }
  CHECK(quiet == 45 - compactions);
  CHECK(events >= 3);
  CHECK(compactions == (compaction == Compaction::live ? events : 0));
}

}  // namespace

TEST_CASE("The counter sees every way to allocate" * doctest::skip(ESPALIER_COUNTS == 0)) {
  const auto counts = [](auto f) {
    const long before = allocations;
    f();
    return allocations > before;
  };
  CHECK(counts([] { std::make_unique<volatile int>(1); }));
  CHECK(counts([] { std::vector<double> x(1000); (void)x[0]; }));
  CHECK(counts([] { Device device; HostBuffer<float> x(device, 10); }));  // aligned
  CHECK(counts([] { void* volatile p = std::malloc(10); std::free(p); }));
  CHECK_FALSE(counts([] {}));
}

TEST_CASE("Between pruning events a training step allocates nothing after the first" *
          doctest::skip(ESPALIER_COUNTS == 0)) {
  check_training(TaylorImportance{}, false);
  check_training(TaylorImportance{}, true);
  check_training(FullTaylorImportance{}, false);
}

TEST_CASE("Nor does one between events after which units left, once the smaller model has taken its first step" *
          doctest::skip(ESPALIER_COUNTS == 0)) {
  check_training(TaylorImportance{}, false, Compaction::live);
  check_training(FullTaylorImportance{}, true, Compaction::live);
}

TEST_CASE("Nor does one on packed documents, however many of them a window holds" * doctest::skip(ESPALIER_COUNTS == 0)) {
  check_training(TaylorImportance{}, false, Compaction::none, Packing::documents);
}

TEST_CASE("Neither does the loop that users write themselves" * doctest::skip(ESPALIER_COUNTS == 0)) {
  Device device;
  Model model(device);
  AdamW optimizer(model);
  Index steps = 0;
  long before = 0;
  for (const Batch batch : test::tiny_text().batches({.size = 2, .length = 40, .steps = 10})) {
    const auto loss = model.loss(batch);
    clip(model, 1);
    optimizer.step();
    CHECK(std::isfinite(double(loss)));
    if (++steps == 2) before = allocations;
  }
  CHECK(allocations == before);
}
