// SPDX-License-Identifier: MIT
#pragma once
// As compiled_llama.hpp: Llamas from and to files.
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>
#include <espalier/model/save_gguf.hpp>

#include "compiled_llama.hpp"

namespace espalier::test {
template <class... Types>
using CpuLlama = Llama<Cpu<Types...>, LowRankAdapter>;
}

#if defined(ESPALIER_PRECOMPILED)
#if !defined(ESPALIER_TEST_TEMPLATE)
#define ESPALIER_TEST_TEMPLATE extern template
#endif
#define ESPALIER_TEST_FILES(...)                                                              \
  ESPALIER_TEST_TEMPLATE test::CpuLlama<__VA_ARGS__> load<test::CpuLlama<__VA_ARGS__>>(       \
      Cpu<__VA_ARGS__>&, const std::string&, const LowRankOptions&, std::uint64_t);           \
  ESPALIER_TEST_TEMPLATE void load_adapter(test::CpuLlama<__VA_ARGS__>&, const std::string&); \
  ESPALIER_TEST_TEMPLATE SaveReport save(test::CpuLlama<__VA_ARGS__>&, const std::string&, const SaveOptions&);
namespace espalier {

ESPALIER_TEST_FILES(double)
ESPALIER_TEST_FILES(float)
ESPALIER_TEST_FILES(float, BFloat16)
ESPALIER_TEST_TEMPLATE void save_adapter(test::CpuLlama<double>&, const std::string&, const SaveAdapterOptions&);
ESPALIER_TEST_TEMPLATE SaveReport save_gguf(test::CpuLlama<float>&, const std::string&, const SaveGgufOptions&);

}  // namespace espalier
#undef ESPALIER_TEST_FILES
#undef ESPALIER_TEST_TEMPLATE
#endif
