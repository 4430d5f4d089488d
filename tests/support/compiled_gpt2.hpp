// SPDX-License-Identifier: MIT
#pragma once
// As compiled_llama.hpp: GPT-2, its files included.
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/model/gpt2_files.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>

namespace espalier::test {
template <class T>
using CpuGpt2 = Gpt2<Cpu<T>, LowRankAdapter>;
}

#if defined(ESPALIER_PRECOMPILED)
#if !defined(ESPALIER_TEST_TEMPLATE)
#define ESPALIER_TEST_TEMPLATE extern template
#endif
#define ESPALIER_TEST_GPT2(T)                                                                                        \
  ESPALIER_TEST_TEMPLATE class LanguageModel<Cpu<T>, LowRankAdapter, Gpt2Family>;                                    \
  ESPALIER_TEST_TEMPLATE test::CpuGpt2<T> load<test::CpuGpt2<T>>(Cpu<T>&, const std::string&, const LowRankOptions&, \
                                                                 std::uint64_t);                                     \
  ESPALIER_TEST_TEMPLATE void load_adapter(test::CpuGpt2<T>&, const std::string&);                                   \
  ESPALIER_TEST_TEMPLATE SaveReport save(test::CpuGpt2<T>&, const std::string&, const SaveOptions&);
namespace espalier {

ESPALIER_TEST_GPT2(double)
ESPALIER_TEST_GPT2(float)
ESPALIER_TEST_TEMPLATE void merge(test::CpuGpt2<double>&);
ESPALIER_TEST_TEMPLATE void compact(test::CpuGpt2<double>&);
ESPALIER_TEST_TEMPLATE void save_adapter(test::CpuGpt2<float>&, const std::string&, const SaveAdapterOptions&);

}  // namespace espalier
#undef ESPALIER_TEST_GPT2
#undef ESPALIER_TEST_TEMPLATE
#endif
