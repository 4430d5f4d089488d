// SPDX-License-Identifier: MIT
#pragma once
// Every test would compile the same few Llamas again. Where products are compiled once, so are these: this list is a
// promise in a test, which compiled_llama.cpp keeps. Without ESPALIER_PRECOMPILED a test compiles what it needs alone.
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/model/llama.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>

#include "gradients.hpp"

#if defined(ESPALIER_PRECOMPILED)
#if !defined(ESPALIER_TEST_TEMPLATE)
#define ESPALIER_TEST_TEMPLATE extern template
#endif
namespace espalier {

#define ESPALIER_TEST_LLAMA(ADAPTER, ...)                                        \
  ESPALIER_TEST_TEMPLATE class LanguageModel<__VA_ARGS__, ADAPTER, LlamaFamily>; \
  ESPALIER_TEST_TEMPLATE void test::randomise(Llama<__VA_ARGS__, ADAPTER>&, std::uint64_t, double);
ESPALIER_TEST_LLAMA(LowRankAdapter, Cpu<double>)
ESPALIER_TEST_LLAMA(LowRankAdapter, Cpu<float>)
ESPALIER_TEST_LLAMA(LowRankAdapter, Cpu<float, BFloat16>)
ESPALIER_TEST_LLAMA(LowRankAdapter, test::Real)
ESPALIER_TEST_LLAMA(LowRankAdapter, test::Complex)
ESPALIER_TEST_LLAMA(Frozen, Cpu<double>)
ESPALIER_TEST_LLAMA(Frozen, test::Real)
#undef ESPALIER_TEST_LLAMA

ESPALIER_TEST_TEMPLATE void compact(Llama<Cpu<double>, LowRankAdapter>&);
ESPALIER_TEST_TEMPLATE void compact(Llama<Cpu<float, BFloat16>, LowRankAdapter>&);
ESPALIER_TEST_TEMPLATE void compact(Llama<test::Real, LowRankAdapter>&);
ESPALIER_TEST_TEMPLATE void compact(Llama<Cpu<double>, Frozen>&);
ESPALIER_TEST_TEMPLATE void compact(Llama<test::Real, Frozen>&);

ESPALIER_TEST_TEMPLATE void merge(Llama<Cpu<double>, LowRankAdapter>&);
ESPALIER_TEST_TEMPLATE void merge(Llama<Cpu<float>, LowRankAdapter>&);
ESPALIER_TEST_TEMPLATE void merge(Llama<Cpu<float, BFloat16>, LowRankAdapter>&);
ESPALIER_TEST_TEMPLATE void merge(Llama<test::Real, LowRankAdapter>&);
ESPALIER_TEST_TEMPLATE void unmerge(Llama<Cpu<double>, LowRankAdapter>&);
ESPALIER_TEST_TEMPLATE void unmerge(Llama<Cpu<float, BFloat16>, LowRankAdapter>&);
ESPALIER_TEST_TEMPLATE void unmerge(Llama<test::Real, LowRankAdapter>&);

}  // namespace espalier
#undef ESPALIER_TEST_TEMPLATE
#endif
