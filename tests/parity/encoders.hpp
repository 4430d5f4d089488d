// SPDX-License-Identifier: MIT
#pragma once
// GPT-2 and the encoders: learned positions, fused projections, norms with a bias, padding, images, heads of tasks.
#include <espalier/model/bert.hpp>
#include <espalier/model/deberta.hpp>
#include <espalier/model/gpt2.hpp>
#include <espalier/model/vit.hpp>

#include "parity/whole.hpp"

namespace espalier::test::parity {

/// Sequences with padding behind them, in the middle of one too, and labels of every kind.
struct Texts {
  std::vector<int> tokens, visible, segments, classes, words;
  std::vector<double> values;
  Shape shape{3, 17};
  explicit Texts(Index vocab, int pad) {
    const Tokens drawn_tokens(vocab - 2, shape);
    for (Index t = 0; t < shape.tokens(); ++t) {
      const bool padding = t == 5 || (t >= 30 && t < 34);
      tokens.push_back(padding ? pad : drawn_tokens.tokens[std::size_t(t)] + 2);
      visible.push_back(padding ? 0 : 1), segments.push_back(t % 17 > 8 ? 1 : 0);
      words.push_back(t % 4 == 1 ? drawn_tokens.tokens[std::size_t(t)] : kIgnore);
    }
    classes = {2, kIgnore, 0};
    values = drawn<double>(3 * 3, 5);
  }
  TextBatch batch(Labels labels) const {
    return {.tokens = tokens, .visible = visible, .segments = segments, .labels = labels, .shape = shape};
  }
};

template <class Device>
void other_models(Judge& judge) {
  {
    Gpt2Config config{.vocab = 29, .hidden = 16, .layers = 2, .heads = 4, .groups = 4, .head_dim = 4, .feed_forward = 22, .max_positions = 24,
                      .dropout = 0, .attention_dropout = 0, .embedding_dropout = 0};
    using Model = Gpt2<Device, LowRankAdapter>;
    whole_model<Model>(judge, "GPT-2", config, Tokens(config.vocab, {2, 19}));
    config.tied = false, config.scaled_by_layer = true, config.function = ActivationFunction::gelu;
    config.dropout = config.attention_dropout = config.embedding_dropout = 0.25;
    whole_model<Model>(judge, "GPT-2, head of its own, scores by layer", config, Tokens(config.vocab, {2, 19}));
  }
  const auto small = []<class Config>(Config config, int pad) {
    config.vocab = 29, config.hidden = 16, config.layers = 2, config.heads = config.groups = 4, config.head_dim = 4;
    config.feed_forward = 22, config.max_positions = 24, config.pad = pad, config.eps = 1e-5;
    config.dropout = config.attention_dropout = config.classifier_dropout = 0.25;
    config.labels = {.count = 3, .problem = Problem::one_label};
    return config;
  };
  {
    const Texts texts(29, 0);
    using Model = BertForSequenceClassification<Device, LowRankAdapter>;
    auto config = small(typename Model::Config{}, 0);
    whole_model<Model>(judge, "BERT, a class, padding", config, texts.batch({.classes = texts.classes}));
    config.labels.problem = Problem::regression;
    whole_model<Model>(judge, "BERT, numbers, padding", config, texts.batch({.values = texts.values}));
    using Masked = BertForMaskedLM<Device, LowRankAdapter>;
    whole_model<Masked>(judge, "BERT, masked words", small(typename Masked::Config{}, 0), texts.batch({.classes = texts.words}));
  }
  {
    const Texts texts(29, 1);  // RoBERTa counts positions behind its padding
    using Model = RobertaForSequenceClassification<Device, LowRankAdapter>;
    auto config = small(typename Model::Config{}, 1);
    config.labels.problem = Problem::several_labels;
    std::vector<double> bits;
    for (const double v : texts.values) bits.push_back(v > 0 ? 1 : 0);
    whole_model<Model>(judge, "RoBERTa, several labels, padding", config, texts.batch({.values = bits}));
  }
  {
    const Texts texts(29, 0);
    using Model = DebertaForSequenceClassification<Device, LowRankAdapter>;
    typename Model::Config config;
    config.vocab = 29, config.hidden = 16, config.layers = 2, config.heads = config.groups = 4, config.head_dim = 4;
    config.feed_forward = 22, config.segments = 2, config.eps = 1e-5;
    config.buckets = {.reach = 16, .buckets = 6};
    config.taps = 3, config.dropout = config.attention_dropout = config.classifier_dropout = 0.25;
    config.labels = {.count = 3, .problem = Problem::one_label};
    whole_model<Model>(judge, "DeBERTa, a class, padding, a convolution", config, texts.batch({.classes = texts.classes}));
  }
  {
    using Model = VitForImageClassification<Device, LowRankAdapter>;
    const VitConfig config{.hidden = 16, .layers = 2, .heads = 4, .groups = 4, .head_dim = 4, .feed_forward = 22,
                           .grid = {3, 12, 8, 4, 4}, .eps = 1e-5, .dropout = 0.25, .attention_dropout = 0.25, .labels = {.count = 3, .problem = Problem::one_label}};
    const Index images = 4;
    std::vector<float> pixels;
    for (const float x : drawn<float>(images * 3 * 12 * 8, 6)) pixels.push_back(float(BFloat16(x)));
    // Not each class once: gradients of images that look alike to a random model would cancel down to their roundings.
    const std::vector<int> classes{1, 1, 2, 1};
    whole_model<Model>(judge, "ViT", config,
                       ImageBatch{.pixels = pixels, .batch = images, .channels = 3, .height = 12, .width = 8, .labels = {.classes = classes}});
  }
}

}  // namespace espalier::test::parity
