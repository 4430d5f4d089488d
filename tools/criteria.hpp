// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/adapter/low_rank_options.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/importance/movement.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/importance/signed_taylor.hpp>
#include <espalier/prune/importance/sparse_gpt.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/importance/wanda.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/weight_pruner.hpp>
#include <string>
#include <type_traits>

#include "any_pruner.hpp"
#include "any_schedule.hpp"
#include "engine.hpp"

namespace espalier::tool {

template <class Model>
inline constexpr bool has_low_rank = std::is_same_v<typename Model::AdapterOptions, LowRankOptions>;

/// Whether the adapters' gradients guide; refused where there are none.
template <class Model>
bool guided(const FitPlan& p) {
  if (p.criterion == "lora" && !has_low_rank<Model>)
    fail(Errc::usage, "--criterion lora reads the gradients of low-rank adapters, and this model has none");
  return p.criterion == "lora";
}

/// Units by the criterion that --criterion names.
template <class Model>
AnyPruner unit_pruner(Model& model, const FitPlan& p, const AnySchedule& schedule, const PrunerOptions& options) {
  const auto by = [&](auto score, auto mask) {
    return AnyPruner::of<Pruner<Model, decltype(score), decltype(mask), AnySchedule>>(model, score, mask, schedule, options);
  };
  const Power power = p.power == "abs" ? Power::abs : Power::square;
  const EMAMask smooth{.decay = p.ema}, latest{.decay = 0};
  if (guided<Model>(p))
    if constexpr (has_low_rank<Model>) return by(TaylorImportance{.power = power, .eta = p.eta, .scaled = p.scaled}, smooth);
  if (p.criterion == "full") return by(FullTaylorImportance{.power = power}, smooth);
  if (p.criterion == "signed") return by(SignedTaylorImportance{.power = power}, smooth);
  if (p.criterion == "movement") return by(MovementImportance{}, SumMask{});
  if (p.criterion == "wanda") return by(WandaImportance{.decay = p.input_decay}, smooth);
  if (p.criterion == "obs") return by(OBSImportance{.damp = p.damp, .decay = p.input_decay, .update = p.update_weights}, latest);
  if (p.criterion == "magnitude") return by(MagnitudeImportance{}, smooth);
  return by(RandomImportance{.seed = p.seed}, smooth);
}

/// Single weights by it.
template <class Model>
AnyPruner weight_pruner(Model& model, const FitPlan& p, const AnySchedule& schedule) {
  const auto by = [&](auto score) {
    return AnyPruner::of<WeightPruner<Model, decltype(score), AnySchedule>>(model, score, *p.weights, schedule, p.weight_pruner);
  };
  const Power power = p.power == "abs" ? Power::abs : Power::square;
  if (guided<Model>(p))
    if constexpr (has_low_rank<Model>) return by(TaylorImportance{.power = power, .eta = p.eta, .scaled = p.scaled});
  if (p.criterion == "full") return by(FullTaylorImportance{.power = power});
  if (p.criterion == "movement") return by(MovementImportance{});
  if (p.criterion == "wanda") return by(WandaImportance{.decay = p.input_decay});
  if (p.criterion == "obs") return by(OBSImportance{.damp = p.damp, .decay = p.input_decay, .update = p.update_weights});
  if (p.criterion == "sparsegpt") return by(SparseGPTImportance{.damp = p.damp, .decay = p.input_decay});
  if (p.criterion == "magnitude") return by(MagnitudeImportance{});
  return by(RandomImportance{.seed = p.seed});
}

}  // namespace espalier::tool
