// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/scores.hpp>
#include <vector>

#include "allocations.hpp"
#include "oracle_numbers.hpp"

namespace espalier::test {

/// What a backward pass through one (out, 512) map takes more when an importance watches it.
struct WatchedMemory {
  Index stack = 0;  ///< bytes of the workspace's peak
  long beside = 0;  ///< bytes of heap and scratch on a new thread
};

template <class Importance>
WatchedMemory watched_memory(Axis axis, Index out) {
  const Index in = 512, tokens = 2;
  const std::vector<double> x(std::size_t(tokens * in), 0.5), y(std::size_t(tokens * out), 0.25);
  const auto measure = [&](bool watched) {
    Cpu<float> device;
    Single<Cpu<float>> model(device, out, in, false, {.rank = 2, .alpha = 3}, axis, 1);
    Scores<Single<Cpu<float>>> scores(model);
    const Importance importance;
    if (watched) scores.watch(importance);
    model.loss(x, y), model.loss(x, y);  // the workspace becomes one block
    WatchedMemory memory;
    memory.stack = Index(model.run.workspace.peak());
    memory.beside = bytes_on_a_new_thread([&] { model.loss(x, y); });
    return memory;
  };
  const WatchedMemory with = measure(true), without = measure(false);
  return {with.stack - without.stack, with.beside - without.beside};
}

}  // namespace espalier::test
