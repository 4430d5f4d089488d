// SPDX-License-Identifier: MIT
#pragma once
// A whole model of any family with any adapter: logits, loss, gradients, and the laws that it has to keep by itself.
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/taylor.hpp>

#include "parity/llamas.hpp"
#include "support/scores.hpp"

namespace espalier::test::parity {

template <class Model>
Model random_model(typename Model::DeviceType& device, const typename Model::Config& config,
                   const typename Model::AdapterOptions& adapter) {
  Model model(device, config, adapter);
  randomise(device, model, 7, kCalm);
  std::uint32_t number = 0;
  for_each_projection(model, [&](const std::string&, auto& p) { p.adapter.stream = number++; });
  model.run.step.seed = 5;
  return model;
}
template <class Model, class Batch>
std::vector<double> logits_of(Model& model, const Batch& batch) {
  if constexpr (requires { model.logits(batch); }) return as_doubles(model.logits(batch));
  else return as_doubles(model.logits(batch.tokens, batch.shape));
}
template <class Model>
bool& recomputes(Model& model) {
  if constexpr (requires { model.recompute; }) return model.recompute;
  else return model.stem.blocks.recompute;
}
/// Of one loss, from zero.
template <class Model, class Batch>
std::vector<double> gradients_of(Model& model, const Batch& batch) {
  clear_gradients(model);
  model.loss(batch);
  return fetch(model.device(), model.run.arena.grad(), model.run.arena.size());
}

/// Of the units of every group.
template <class Model, class Batch, class Score>
void add_scores(Outputs& out, Model& model, const Batch& batch, const char* name, const Score& importance) {
  clear_gradients(model);
  const auto groups = group_scores(model, importance, Normalise::alive, [&] { model.loss(batch); });
  for (std::size_t g = 0; g < groups.size(); ++g) out.add(format("{}, group {}", name, g), Match::near, groups[g]);
}

/// by: what leaves together, in fp64. Scores, there, of adapters behind the weight: see importance.hpp for those beside it.
template <class Model, class Batch>
void whole_model(Judge& judge, const std::string& name, const typename Model::Config& config, const Batch& batch,
                 [[maybe_unused]] Granularity by = Granularity::groups) {
  using Device = typename Model::DeviceType;
  constexpr bool fp64 = precision_of<Device> == Precision::fp64;
  run_case<Device>(judge, "families/" + name, [&](Device& device, Thrice& thrice) {
    const typename Model::AdapterOptions adapter{.rank = 2, .alpha = 4};
    auto kept = random_model<Model>(device, config, adapter);
    thrice([&](Outputs& out) {
      out.add("logits", Match::near, logits_of(kept, batch));
      out.add("loss without gradients", Match::near, {double(kept.evaluate(batch))});
      recomputes(kept) = false;
      const auto gradients = gradients_of(kept, batch);
      out.add("loss", Match::near, {double(kept.loss(batch))});
      out.add("gradients", Match::near, gradients);
      recomputes(kept) = true;
      out.agree("recomputed == kept", gradients_of(kept, batch), gradients, Match::exact);

      auto model = random_model<Model>(device, config, adapter);
      const auto plain = logits_of(model, batch);
      merge(model);
      out.agree("merged == unmerged", logits_of(model, batch), plain);
      unmerge(model);
      out.agree("merged and back", logits_of(model, batch), plain);
      if constexpr (fp64) espalier::detail::prune_by(model, by);
      mask_every(model, 2, /*straight_through=*/true);
      out.add("gradients behind a straight-through mask", Match::near, gradients_of(model, batch));
      mask_every(model, 2);
      const auto masked = logits_of(model, batch);
      out.holds("masks change the logits", masked != plain);
      out.add("masked gradients", Match::near, gradients_of(model, batch));
      if constexpr (fp64) {
        merge(model);
        out.agree("masked and merged", logits_of(model, batch), masked);
        unmerge(model);
        if constexpr (decltype(Model::Projection::adapter)::kInput == Axis::rows) {
          add_scores(out, model, batch, "Taylor", TaylorImportance{});
          add_scores(out, model, batch, "full Taylor", FullTaylorImportance{});
        }
      }
      compact(model);
      out.agree("masked == compacted", logits_of(model, batch), masked);
      const auto fewer = gradients_of(model, batch);
      out.holds("the compacted model has fewer gradients", fewer.size() < gradients.size());
      out.add("gradients of the compacted", Match::near, fewer);
    });
  });
}

}  // namespace espalier::test::parity
