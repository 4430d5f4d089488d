// SPDX-License-Identifier: MIT
#pragma once
// Every family but Llama: small configurations, and what goes in.
#include <espalier/model/bert.hpp>
#include <espalier/model/deberta.hpp>
#include <espalier/model/gpt2.hpp>
#include <espalier/model/vit.hpp>
#include <string>
#include <vector>

#include "parity/llamas.hpp"

namespace espalier::test::parity {

inline constexpr Index kVocab = 29;

/// Sequences with padding behind them, in the middle of one too, and labels of every kind.
struct Texts {
  std::vector<int> tokens, visible, segments, classes, words;
  std::vector<double> values, bits;
  Shape shape{3, 17};
  explicit Texts(int pad) {
    const Tokens drawn_tokens(kVocab - 2, shape);
    for (Index t = 0; t < shape.tokens(); ++t) {
      const bool padding = t == 5 || (t >= 30 && t < 34);
      tokens.push_back(padding ? pad : drawn_tokens.tokens[std::size_t(t)] + 2);
      visible.push_back(padding ? 0 : 1), segments.push_back(t % 17 > 8 ? 1 : 0);
      words.push_back(t % 4 == 1 ? drawn_tokens.tokens[std::size_t(t)] : kIgnore);
    }
    classes = {2, kIgnore, 0};
    values = drawn<double>(3 * 3, 5);
    for (const double v : values) bits.push_back(v > 0 ? 1 : 0);
  }
  TextBatch with_class() const { return batch({.classes = classes}); }
  TextBatch with_words() const { return batch({.classes = words}); }
  TextBatch with_values() const { return batch({.values = values}); }
  TextBatch with_bits() const { return batch({.values = bits}); }

 private:
  TextBatch batch(Labels labels) const {
    return {.tokens = tokens, .visible = visible, .segments = segments, .labels = labels, .shape = shape};
  }
};

/// Four images. Not each class once: gradients of images that look alike to a random model would cancel down to their
/// roundings.
struct Images {
  std::vector<float> pixels;
  std::vector<int> classes{1, 1, 2, 1};
  Images() {
    for (const float x : drawn<float>(4 * 3 * 12 * 8, 6)) pixels.push_back(float(BFloat16(x)));
  }
  operator ImageBatch() const {
    return {.pixels = pixels, .batch = 4, .channels = 3, .height = 12, .width = 8, .labels = {.classes = classes}};
  }
};

inline Gpt2Config small_gpt2() {
  return {.vocab = kVocab, .hidden = 16, .layers = 2, .heads = 4, .groups = 4, .head_dim = 4, .feed_forward = 22, .max_positions = 24,
          .dropout = 0, .attention_dropout = 0, .embedding_dropout = 0};
}
/// Another head, another function, and something to drop.
inline Gpt2Config other_gpt2() {
  Gpt2Config config = small_gpt2();
  config.tied = false, config.scaled_by_layer = true, config.function = ActivationFunction::gelu;
  config.dropout = config.attention_dropout = config.embedding_dropout = 0.25;
  return config;
}
/// What all encoders of texts have.
template <class Config>
Config small_encoder() {
  Config config;
  config.vocab = kVocab, config.hidden = 16, config.layers = 2, config.heads = config.groups = 4, config.head_dim = 4;
  config.feed_forward = 22, config.segments = 2, config.eps = 1e-5;
  config.dropout = config.attention_dropout = config.classifier_dropout = 0.25;
  config.labels = {.count = 3, .problem = Problem::one_label};
  return config;
}
template <class Config>
Config small_bert(int pad, Problem problem = Problem::one_label) {
  Config config = small_encoder<Config>();
  config.max_positions = 24, config.pad = pad, config.labels.problem = problem;
  return config;
}
/// How DeBERTa sees distances.
struct Distances {
  bool content_to_position = true, position_to_content = true;
  bool shared = true;    ///< through the maps of queries and keys
  Index positions = 0;   ///< absolute ones
  Index taps = 0;        ///< of the convolution
  bool relative = true;  ///< there are distances
};
template <class Config>
Config small_deberta(const Distances& d) {
  Config config = small_encoder<Config>();
  config.buckets = {.reach = 16, .buckets = 6};
  config.content_to_position = d.content_to_position, config.position_to_content = d.position_to_content;
  config.shared = d.shared, config.positions = d.positions, config.taps = d.taps;
  config.relative = config.normed = d.relative;
  return config;
}
inline VitConfig small_vit() {
  return {.hidden = 16, .layers = 2, .heads = 4, .groups = 4, .head_dim = 4, .feed_forward = 22, .grid = {3, 12, 8, 4, 4}, .eps = 1e-5,
          .dropout = 0.25, .attention_dropout = 0.25, .labels = {.count = 3, .problem = Problem::one_label}};
}

}  // namespace espalier::test::parity
