// SPDX-License-Identifier: MIT
#pragma once
// GPT-2 and the encoders: learned positions, fused projections, norms with a bias, padding, images, heads of tasks, and in
// fp64 every way to see distances. The other heads of masked words are sequential.hpp's, behind whose maps adapters stand.
#include "parity/small_models.hpp"
#include "parity/whole.hpp"

namespace espalier::test::parity {

template <class Device>
void berts(Judge& judge) {
  const Texts texts(0), offset(1);  // RoBERTa counts positions behind its padding
  {
    using Model = BertForSequenceClassification<Device, LowRankAdapter>;
    using Config = typename Model::Config;
    whole_model<Model>(judge, "BERT, a class, padding", small_bert<Config>(0), texts.with_class());
    whole_model<Model>(judge, "BERT, numbers, padding", small_bert<Config>(0, Problem::regression), texts.with_values());
  }
  {
    using Model = BertForMaskedLM<Device, LowRankAdapter>;
    whole_model<Model>(judge, "BERT, masked words", small_bert<typename Model::Config>(0), texts.with_words());
  }
  {
    using Model = RobertaForSequenceClassification<Device, LowRankAdapter>;
    whole_model<Model>(judge, "RoBERTa, several labels, padding", small_bert<typename Model::Config>(1, Problem::several_labels),
                       offset.with_bits());
  }
}

template <class Device>
void debertas(Judge& judge) {
  const Texts texts(0);
  using Model = DebertaForSequenceClassification<Device, LowRankAdapter>;
  using Config = typename Model::Config;
  whole_model<Model>(judge, "DeBERTa, a class, padding, a convolution", small_deberta<Config>({.taps = 3}), texts.with_class());
  if constexpr (precision_of<Device> == Precision::fp64) {
    whole_model<Model>(judge, "DeBERTa, content to position alone", small_deberta<Config>({.position_to_content = false}), texts.with_class());
    whole_model<Model>(judge, "DeBERTa, position to content alone, through maps of positions' own",
                       small_deberta<Config>({.content_to_position = false, .shared = false}), texts.with_class());
    whole_model<Model>(judge, "DeBERTa, positions and no distances", small_deberta<Config>({.positions = 24, .relative = false}),
                       texts.with_class());
    whole_model<Model>(judge, "DeBERTa, positions and distances, maps of positions' own",
                       small_deberta<Config>({.shared = false, .positions = 24}), texts.with_class());
  }
}

template <class Device>
void other_models(Judge& judge) {
  {
    using Model = Gpt2<Device, LowRankAdapter>;
    const Tokens batch(kVocab, {2, 19});
    whole_model<Model>(judge, "GPT-2", small_gpt2(), batch);
    whole_model<Model>(judge, "GPT-2, head of its own, scores by layer", other_gpt2(), batch);
    if constexpr (precision_of<Device> == Precision::fp64)
      whole_model<Model>(judge, "GPT-2, by layers", small_gpt2(), batch, Granularity::layers);
  }
  berts<Device>(judge);
  debertas<Device>(judge);
  whole_model<VitForImageClassification<Device, LowRankAdapter>>(judge, "ViT", small_vit(), Images());
}

}  // namespace espalier::test::parity
