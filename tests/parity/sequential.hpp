// SPDX-License-Identifier: MIT
#pragma once
// The adapter behind the weight, which mixes outputs: alone, under masks on units and on weights, and in a model.
#include <espalier/adapter/sequential.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/importance/wanda.hpp>

#include "parity/modules.hpp"
#include "parity/small_models.hpp"
#include "parity/whole.hpp"
#include "support/scores.hpp"

namespace espalier::test::parity {

/// A projection of units that are masked.
template <class Device, class Inner>
struct Masked {
  using Activations = typename Inner::Activations;
  using T = typename Device::Activation;
  static constexpr Index kWidth = 3;
  Inner inner;
  UnitMask<Device> units;

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    return inner.forward(pass, x, act, units.outputs(kWidth));
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx) {
    inner.backward(pass, dy, act, dx, units.outputs(kWidth));
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("inner", self.inner);
  }
};

/// About a third of the bits are off.
template <class Device, class Projection>
void remove_some_weights(Device& device, Projection& p, bool straight_through) {
  p.allow_weight_mask(device, "p");
  std::vector<std::uint32_t> words;
  for (Index i = 0; i < p.weight_mask.bits().size(); ++i) words.push_back(0x9e3779b9u * std::uint32_t(i + 1));
  p.weight_mask.set(device, words);
  p.weight_mask.straight_through = straight_through;
}

/// Scores of all units of a model whose adapters mix outputs, some of them masked.
template <class Device, class Score>
void sequential_scores(Judge& judge, const std::string& name, const Score& importance) {
  using Model = Llama<Device, SequentialAdapter>;
  run_case<Device>(judge, "sequential/scores/" + name, [&](Device& device, Thrice& thrice) {
    LlamaConfig config = small_llamas()[4].config;
    if (precision_of<Device> == Precision::bf16) config.layers = 1;  // as for the adapter beside the weight
    auto model = random_model<Model>(device, config, {.rank = 2, .alpha = 4});
    mask_every(model, 5);
    const Tokens batch(config.vocab, {2, 19});
    thrice([&](Outputs& out) {
      for (const Normalise normalise : {Normalise::none, Normalise::alive}) {
        clear_gradients(model);
        const auto groups = group_scores(model, importance, normalise, [&] { model.loss(batch); });
        for (std::size_t g = 0; g < groups.size(); ++g)
          out.add(format("{}, group {}", normalise == Normalise::none ? "plain" : "normalised", g), Match::near, groups[g]);
      }
    });
  });
}

/// Every family but Llama; of encoders the heads that have a map with an adapter, where there is one.
template <class Device>
void others_with_adapter_behind(Judge& judge) {
  const Texts texts(0), offset(1);
  {
    using Model = Gpt2<Device, SequentialAdapter>;
    const Tokens batch(kVocab, {2, 19});
    whole_model<Model>(judge, "GPT-2, adapter behind", other_gpt2(), batch);
    whole_model<Model>(judge, "GPT-2, adapter behind, by layers", small_gpt2(), batch, Granularity::layers);
  }
  {
    using Model = BertForSequenceClassification<Device, SequentialAdapter>;
    whole_model<Model>(judge, "BERT, adapter behind, a class", small_bert<typename Model::Config>(0), texts.with_class());
  }
  {
    using Model = RobertaForMaskedLM<Device, SequentialAdapter>;
    whole_model<Model>(judge, "RoBERTa, adapter behind, masked words", small_bert<typename Model::Config>(1), offset.with_words());
  }
  {
    using Model = DebertaForMaskedLM<Device, SequentialAdapter>;
    using Config = typename Model::Config;
    whole_model<Model>(judge, "DeBERTa, adapter behind, masked words, a convolution", small_deberta<Config>({.taps = 3}), texts.with_words());
    whole_model<Model>(judge, "DeBERTa, adapter behind, masked words, maps of positions' own", small_deberta<Config>({.shared = false}),
                       texts.with_words());
  }
  whole_model<VitForImageClassification<Device, SequentialAdapter>>(judge, "ViT, adapter behind", small_vit(), Images());
}

template <class Device>
void sequential(Judge& judge) {
  using Projection = Linear<Device, SequentialAdapter>;
  using Subject = Masked<Device, Projection>;
  for (const double dropout : {0.0, 0.4})
    for (const MaskCase& m : kMasks)
      for (const bool sparse : {false, true}) {
        if (sparse && dropout > 0) continue;  // refused
        module_case<Device>(judge, format("Linear, adapter behind{}, {}{}", dropout > 0 ? " with dropout" : "", m.name, sparse ? ", on weights too" : ""),
                            {2, 20}, 45, dropout > 0, [&](Device& device) {
                              Subject subject{Projection(device, 45, 13 * Subject::kWidth, true, "p", {.rank = 3, .alpha = 6, .dropout = dropout}),
                                              UnitMask<Device>(device, 13)};
                              set_mask(device, subject.units, m);
                              if (sparse) remove_some_weights(device, subject.inner, m.straight_through);
                              return subject;
                            });
      }
  using Model = Llama<Device, SequentialAdapter>;
  const auto llamas = small_llamas();
  const Tokens batch(kVocab, {2, 19});
  for (const std::size_t n : {0u, 4u})
    whole_model<Model>(judge, format("Llama, adapter behind, {}", llamas[n].name), llamas[n].config, batch);
  if constexpr (precision_of<Device> == Precision::fp64)
    for (const Granularity by : {Granularity::queries, Granularity::layers, Granularity::hidden})
      whole_model<Model>(judge, format("Llama, adapter behind, by {}", espalier::name_of(by)), llamas[1].config, batch, by);
  sequential_scores<Device>(judge, "Taylor", TaylorImportance{});
  sequential_scores<Device>(judge, "full Taylor", FullTaylorImportance{});
  sequential_scores<Device>(judge, "Wanda", WandaImportance{});
  sequential_scores<Device>(judge, "OBS", OBSImportance{.damp = 1});
  if constexpr (precision_of<Device> == Precision::fp64) others_with_adapter_behind<Device>(judge);
}

}  // namespace espalier::test::parity
