// SPDX-License-Identifier: MIT
#pragma once
// As compiled_llama.hpp: DeBERTa, its files included.
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/model/deberta_files.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>

namespace espalier::test {
template <class T>
using DebertaClasses = DebertaForSequenceClassification<Cpu<T>, LowRankAdapter>;
template <class T>
using DebertaMasked = DebertaForMaskedLM<Cpu<T>, LowRankAdapter>;
}  // namespace espalier::test

#if defined(ESPALIER_PRECOMPILED)
#if !defined(ESPALIER_TEST_TEMPLATE)
#define ESPALIER_TEST_TEMPLATE extern template
#endif
#define ESPALIER_TEST_DEBERTA(FAMILY, MODEL, T)                                                                   \
  ESPALIER_TEST_TEMPLATE class EncoderModel<Cpu<T>, LowRankAdapter, FAMILY>;                                      \
  ESPALIER_TEST_TEMPLATE test::MODEL<T> load<test::MODEL<T>>(Cpu<T>&, const std::string&, const LowRankOptions&, \
                                                             std::uint64_t);                                     \
  ESPALIER_TEST_TEMPLATE void load_adapter(test::MODEL<T>&, const std::string&);
#define ESPALIER_TEST_DEBERTA_SAVED(MODEL, T)                                                      \
  ESPALIER_TEST_TEMPLATE SaveReport save(test::MODEL<T>&, const std::string&, const SaveOptions&); \
  ESPALIER_TEST_TEMPLATE void save_adapter(test::MODEL<T>&, const std::string&, const SaveAdapterOptions&);
namespace espalier {

using DebertaClassesFamily = DebertaFamily<SequenceClassification>;
using DebertaMaskedFamily = DebertaFamily<MaskedLanguage>;
ESPALIER_TEST_DEBERTA(DebertaClassesFamily, DebertaClasses, double)
ESPALIER_TEST_DEBERTA(DebertaMaskedFamily, DebertaMasked, double)
ESPALIER_TEST_DEBERTA(DebertaClassesFamily, DebertaClasses, float)
ESPALIER_TEST_DEBERTA(DebertaMaskedFamily, DebertaMasked, float)
ESPALIER_TEST_DEBERTA_SAVED(DebertaClasses, double)
ESPALIER_TEST_DEBERTA_SAVED(DebertaMasked, double)
ESPALIER_TEST_TEMPLATE void merge(test::DebertaClasses<double>&);
ESPALIER_TEST_TEMPLATE void compact(test::DebertaClasses<double>&);

}  // namespace espalier
#undef ESPALIER_TEST_DEBERTA_SAVED
#undef ESPALIER_TEST_DEBERTA
#undef ESPALIER_TEST_TEMPLATE
#endif
