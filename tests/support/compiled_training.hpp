// SPDX-License-Identifier: MIT
#pragma once
// As compiled_llama.hpp: the tiny model with its optimizer, pruners and trainers. Members that are templates are listed
// one by one, private ones too.
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/schedule.hpp>
#include <espalier/train/evaluate.hpp>
#include <espalier/train/trainer.hpp>

#include "compiled_llama.hpp"
#include "tiny_model.hpp"
#include "training_log.hpp"

namespace espalier::test {
using Tiny = TinyModel<Cpu<float>>;
using WideTiny = TinyModel<Cpu<double>>;
template <class Score>
using TinyPruner = Pruner<Tiny, Score, EMAMask, CubicSchedule>;
template <class Score>
using WideTinyPruner = Pruner<WideTiny, Score, EMAMask, CubicSchedule>;
}  // namespace espalier::test

#if defined(ESPALIER_PRECOMPILED)
#if !defined(ESPALIER_TEST_TEMPLATE)
#define ESPALIER_TEST_TEMPLATE extern template
#endif
namespace espalier {

ESPALIER_TEST_TEMPLATE struct test::TinyModel<Cpu<float>>;
ESPALIER_TEST_TEMPLATE struct test::TinyModel<Cpu<double>>;
ESPALIER_TEST_TEMPLATE std::string test::hash_of_training(test::Tiny&);

#define ESPALIER_TEST_TINY(MODEL)                                                            \
  ESPALIER_TEST_TEMPLATE class AdamW<MODEL>;                                                 \
  ESPALIER_TEST_TEMPLATE Evaluation evaluate(MODEL&, const Tokens&, const EvaluateOptions&); \
  ESPALIER_TEST_TEMPLATE void clip(MODEL&, double);                                          \
  ESPALIER_TEST_TEMPLATE void compact(MODEL&);                                               \
  ESPALIER_TEST_TEMPLATE Footprint footprint(MODEL&);                                        \
  ESPALIER_TEST_TEMPLATE std::string hash_of_base(MODEL&);
ESPALIER_TEST_TINY(test::Tiny)
ESPALIER_TEST_TINY(test::WideTiny)
#undef ESPALIER_TEST_TINY

ESPALIER_TEST_TEMPLATE class Scores<test::Tiny>;
ESPALIER_TEST_TEMPLATE class Scores<test::WideTiny>;
#define ESPALIER_TEST_PRUNER(MODEL, DEVICE, SCORE)                                            \
  ESPALIER_TEST_TEMPLATE class Pruner<MODEL, SCORE, EMAMask, CubicSchedule>;                  \
  ESPALIER_TEST_TEMPLATE void Scores<MODEL>::update(const SCORE&, const EMAMask&, Normalise); \
  ESPALIER_TEST_TEMPLATE void Scores<MODEL>::compute(Pass<DEVICE>&, const SCORE&, const EMAMask&, Normalise);
ESPALIER_TEST_PRUNER(test::Tiny, Cpu<float>, TaylorImportance)
ESPALIER_TEST_PRUNER(test::Tiny, Cpu<float>, FullTaylorImportance)
ESPALIER_TEST_PRUNER(test::WideTiny, Cpu<double>, TaylorImportance)
ESPALIER_TEST_PRUNER(test::WideTiny, Cpu<double>, FullTaylorImportance)
#undef ESPALIER_TEST_PRUNER

// Not the class as a whole: clang 14 would compile the constructor that only NoPruner has.
#define ESPALIER_TEST_TRAINER(MODEL, PRUNER)                                                          \
  ESPALIER_TEST_TEMPLATE Trainer<MODEL, PRUNER>::Trainer(MODEL&, AdamW<MODEL>&, PRUNER&, Batches,     \
                                                         const TrainerOptions&);                      \
  ESPALIER_TEST_TEMPLATE std::optional<Resumed> Trainer<MODEL, PRUNER>::resume();                     \
  ESPALIER_TEST_TEMPLATE std::string Trainer<MODEL, PRUNER>::save();                                  \
  ESPALIER_TEST_TEMPLATE json::Value Trainer<MODEL, PRUNER>::write(const io::StagedDirectory&);       \
  ESPALIER_TEST_TEMPLATE void Trainer<MODEL, PRUNER>::take_up(const std::string&, const json::Value&, \
                                                              const TrainingState&, Resumed&);        \
  ESPALIER_TEST_TEMPLATE TrainingState take_state(MODEL&, PRUNER&);                                   \
  ESPALIER_TEST_TEMPLATE void put_state(const TrainingState&, MODEL&, PRUNER&);
ESPALIER_TEST_TRAINER(test::Tiny, NoPruner)
ESPALIER_TEST_TRAINER(test::Tiny, test::TinyPruner<TaylorImportance>)
ESPALIER_TEST_TRAINER(test::Tiny, test::TinyPruner<FullTaylorImportance>)
ESPALIER_TEST_TRAINER(test::WideTiny, NoPruner)
ESPALIER_TEST_TRAINER(test::WideTiny, test::WideTinyPruner<TaylorImportance>)
#undef ESPALIER_TEST_TRAINER

#define ESPALIER_TEST_RUN(MODEL, PRUNER, OBSERVER)                               \
  ESPALIER_TEST_TEMPLATE TrainingSummary Trainer<MODEL, PRUNER>::run(OBSERVER&); \
  ESPALIER_TEST_TEMPLATE void Trainer<MODEL, PRUNER>::one_step(OBSERVER&);       \
  ESPALIER_TEST_TEMPLATE void Trainer<MODEL, PRUNER>::leave(OBSERVER&);          \
  ESPALIER_TEST_TEMPLATE void Trainer<MODEL, PRUNER>::save(OBSERVER&);
ESPALIER_TEST_RUN(test::Tiny, NoPruner, Silent)
ESPALIER_TEST_RUN(test::Tiny, NoPruner, test::TrainingLog)
ESPALIER_TEST_RUN(test::Tiny, test::TinyPruner<TaylorImportance>, Silent)
ESPALIER_TEST_RUN(test::Tiny, test::TinyPruner<TaylorImportance>, test::TrainingLog)
ESPALIER_TEST_RUN(test::WideTiny, NoPruner, test::TrainingLog)
#undef ESPALIER_TEST_RUN

}  // namespace espalier
#undef ESPALIER_TEST_TEMPLATE
#endif
