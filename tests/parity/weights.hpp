// SPDX-License-Identifier: MIT
#pragma once
// Masks on single weights in training, by every kind of score that chooses them; and scores whose update moves the base.
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/movement.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/importance/sparse_gpt.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/importance/wanda.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/weight_pruner.hpp>

#include "parity/whole.hpp"

namespace espalier::test::parity {

/// In bf16 two weights may change places in the order: what follows is then another run, and only repeats itself.
template <class Device>
inline constexpr Match kAsOrdered = precision_of<Device> == Precision::fp64 ? Match::exact : Match::repeats;
template <class Device>
inline constexpr Match kBehindOrder = precision_of<Device> == Precision::fp64 ? Match::near : Match::repeats;

/// What a model is after a pruner's events: its base, logits and gradients.
template <class Model, class Batch>
void tell(Outputs& out, Model& model, const Batch& batch) {
  constexpr Match match = kBehindOrder<typename Model::DeviceType>;
  std::vector<double> base;
  for_each_projection(model, [&](const std::string&, auto& p) {
    for (const double w : fetch(model.device(), p.weight.view().data, p.weight.size())) base.push_back(w);
  });
  out.add("base", match, base);
  out.add("logits", match, logits_of(model, batch));
  out.add("gradients", match, gradients_of(model, batch));
}

/// Two events, backward passes between them.
template <class Device, class Score>
void pruned_weights_case(Judge& judge, const std::string& name, const Score& importance, const WeightPattern& pattern) {
  using Model = Llama<Device, LowRankAdapter>;
  run_case<Device>(judge, format("weights/{}, {}", name, pattern.name()), [&](Device& device, Thrice& thrice) {
    const LlamaConfig config = small_llamas()[4].config;
    const Tokens batch(config.vocab, {2, 19});
    thrice([&](Outputs& out) {
      auto model = random_model<Model>(device, config, {.rank = 2, .alpha = 4});
      WeightPruner pruner(model, importance, pattern, LinearSchedule{.begin = 0, .end = 2, .sparsity = 0.5}, WeightPrunerOptions{.every = 1});
      for (int step = 0; step < 2; ++step) {
        clear_gradients(model);
        model.loss(batch);
        out.holds(format("something leaves in step {}", step), pruner.step() > 0.2);
      }
      out.holds("no score was refused", pruner.warnings().empty());
      std::vector<double> words;
      for_each_projection(model, [&](const std::string&, auto& p) {
        for (const std::uint32_t w : p.weight_mask.words(device)) words.push_back(double(w));
      });
      out.add("masks", kAsOrdered<Device>, words);
      tell(out, model, batch);
    });
  });
}

/// Units leave, and the weights that stay make up for them.
template <class Device>
void updated_units(Judge& judge) {
  using Model = Llama<Device, LowRankAdapter>;
  run_case<Device>(judge, "weights/OBS with its update, units", [&](Device& device, Thrice& thrice) {
    const LlamaConfig config = small_llamas()[4].config;
    const Tokens batch(config.vocab, {2, 19});
    thrice([&](Outputs& out) {
      auto model = random_model<Model>(device, config, {.rank = 2, .alpha = 4});
      Pruner pruner(model, OBSImportance{.damp = 0.1, .update = true}, EMAMask{}, LinearSchedule{.begin = 0, .end = 2, .sparsity = 0.5},
                    PrunerOptions{.every = 1});
      for (int step = 0; step < 2; ++step) {
        clear_gradients(model);
        model.loss(batch);
        pruner.step();
      }
      std::vector<double> bits;
      model.groups([&](auto group) { bits.insert(bits.end(), group.mask->alive().begin(), group.mask->alive().end()); });
      out.add("masks", kAsOrdered<Device>, bits);
      tell(out, model, batch);
    });
  });
}

template <class Device>
void weights(Judge& judge) {
  pruned_weights_case<Device>(judge, "movement", MovementImportance{}, WeightPattern::unstructured());
  pruned_weights_case<Device>(judge, "Taylor", TaylorImportance{}, WeightPattern::unstructured(Within::model));
  pruned_weights_case<Device>(judge, "full Taylor", FullTaylorImportance{}, WeightPattern::unstructured());
  pruned_weights_case<Device>(judge, "random", RandomImportance{.seed = 3}, WeightPattern::unstructured());
  pruned_weights_case<Device>(judge, "Wanda", WandaImportance{}, WeightPattern::unstructured(Within::row));
  pruned_weights_case<Device>(judge, "Wanda", WandaImportance{}, WeightPattern::n_of_m(2, 4));
  pruned_weights_case<Device>(judge, "OBS with its update", OBSImportance{.damp = 0.1, .update = true}, WeightPattern::unstructured());
  pruned_weights_case<Device>(judge, "SparseGPT", SparseGPTImportance{.damp = 0.1, .block = 32}, WeightPattern::unstructured());
  pruned_weights_case<Device>(judge, "SparseGPT", SparseGPTImportance{.damp = 0.1, .block = 32}, WeightPattern::n_of_m(2, 4));
  updated_units<Device>(judge);
}

}  // namespace espalier::test::parity
