// SPDX-License-Identifier: MIT
#pragma once
// As compiled_llama.hpp: BERT and RoBERTa, their files included.
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/model/bert_files.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>

namespace espalier::test {
template <class T>
using BertClasses = BertForSequenceClassification<Cpu<T>, LowRankAdapter>;
template <class T>
using BertMasked = BertForMaskedLM<Cpu<T>, LowRankAdapter>;
template <class T>
using RobertaClasses = RobertaForSequenceClassification<Cpu<T>, LowRankAdapter>;
template <class T>
using RobertaMasked = RobertaForMaskedLM<Cpu<T>, LowRankAdapter>;
}  // namespace espalier::test

#if defined(ESPALIER_PRECOMPILED)
#if !defined(ESPALIER_TEST_TEMPLATE)
#define ESPALIER_TEST_TEMPLATE extern template
#endif
#define ESPALIER_TEST_ENCODER(FAMILY, MODEL, T)                                                                   \
  ESPALIER_TEST_TEMPLATE class EncoderModel<Cpu<T>, LowRankAdapter, FAMILY>;                                      \
  ESPALIER_TEST_TEMPLATE test::MODEL<T> load<test::MODEL<T>>(Cpu<T>&, const std::string&, const LowRankOptions&, \
                                                             std::uint64_t);                                     \
  ESPALIER_TEST_TEMPLATE void load_adapter(test::MODEL<T>&, const std::string&);
#define ESPALIER_TEST_ENCODER_SAVED(MODEL, T)                                                      \
  ESPALIER_TEST_TEMPLATE SaveReport save(test::MODEL<T>&, const std::string&, const SaveOptions&); \
  ESPALIER_TEST_TEMPLATE void save_adapter(test::MODEL<T>&, const std::string&, const SaveAdapterOptions&);
namespace espalier {

using BertClassesFamily = BertFamily<Bert, SequenceClassification>;
using BertMaskedFamily = BertFamily<Bert, MaskedLanguage>;
using RobertaClassesFamily = BertFamily<Roberta, SequenceClassification>;
using RobertaMaskedFamily = BertFamily<Roberta, MaskedLanguage>;
#define ESPALIER_TEST_ENCODERS(T)                                   \
  ESPALIER_TEST_ENCODER(BertClassesFamily, BertClasses, T)          \
  ESPALIER_TEST_ENCODER(BertMaskedFamily, BertMasked, T)            \
  ESPALIER_TEST_ENCODER(RobertaClassesFamily, RobertaClasses, T)    \
  ESPALIER_TEST_ENCODER(RobertaMaskedFamily, RobertaMasked, T)
ESPALIER_TEST_ENCODERS(double)
ESPALIER_TEST_ENCODERS(float)
ESPALIER_TEST_ENCODER_SAVED(BertClasses, double)
ESPALIER_TEST_ENCODER_SAVED(BertMasked, double)
ESPALIER_TEST_ENCODER_SAVED(RobertaClasses, double)
ESPALIER_TEST_ENCODER_SAVED(RobertaMasked, double)
ESPALIER_TEST_TEMPLATE void merge(test::BertClasses<double>&);
ESPALIER_TEST_TEMPLATE void compact(test::BertClasses<double>&);

}  // namespace espalier
#undef ESPALIER_TEST_ENCODERS
#undef ESPALIER_TEST_ENCODER_SAVED
#undef ESPALIER_TEST_ENCODER
#undef ESPALIER_TEST_TEMPLATE
#endif
