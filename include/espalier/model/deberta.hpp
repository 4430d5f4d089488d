// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/model/bert.hpp>
#include <espalier/nn/convolution_branch.hpp>
#include <espalier/nn/disentangled_attention.hpp>
#include <espalier/nn/relative_buckets.hpp>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

struct DebertaConfig {
  Index vocab = 128100, hidden = 768, layers = 12, heads = 12, groups = 12, head_dim = 64, feed_forward = 3072;
  Index positions = 0, segments = 0;  ///< absolute positions and kinds of tokens that have an embedding
  Index pad = 0;
  bool relative = true, normed = true;  ///< relative positions, through a norm
  bool content_to_position = true, position_to_content = true;
  bool shared = true;  ///< positions go through the maps of queries and keys
  RelativeBuckets buckets = {};
  Index taps = 0;  ///< of the convolution beside the first block; 0: there is none
  ActivationFunction function = ActivationFunction::gelu, convolution_function = ActivationFunction::gelu;
  double eps = 1e-7, deviation = 0.02;  ///< deviation: of the weights of a new head
  double dropout = 0.1, attention_dropout = 0.1, pooler_dropout = 0, classifier_dropout = 0.1;  ///< while the model is trained
  LabelOptions labels = {};
  bool legacy = true;  ///< how the head for hidden tokens is called: as BERT's
  bool tied = false;
};

/// What its parts are called.
struct Deberta {
  static constexpr const char *kName = "deberta", *first = "pooler.dense", *out = "classifier";
  static constexpr const MaskedNames& masked(bool legacy) { return legacy ? Bert::masked : published; }
  static constexpr MaskedNames published{"lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm", "lm_predictions.lm_head.bias"};
  using Pooled = kernel::Gelu;
};
struct DebertaAttentionNames {
  static constexpr const char *query = "self.query_proj", *key = "self.key_proj", *value = "self.value_proj", *out = "output.dense",
                              *position_key = "self.pos_key_proj", *position_query = "self.pos_query_proj";
};

/// Embeddings, relative positions and blocks: the second and third version of DeBERTa.     He et al. 2020; He et al. 2021
template <Backend Device, template <class> class Adapter>
class DebertaStem {
 public:
  using T = typename Device::Activation;
  using W = typename Device::Weight;
  using Norm = LayerNorm<Device>;
  using Attention = DisentangledAttention<Device, Adapter, DebertaAttentionNames>;
  using FeedForward = Mlp<Device, Adapter, BertWideNames>;
  using Block = BranchedBlock<Device, PostNormBlock<Device, Norm, Attention, FeedForward, BertBlockNames>>;
  static constexpr const char* kName = Deberta::kName;
  struct Input : TextInput {
    const int* index;     // of distance 0: which of the relative positions that occur
    Index first, count;  // of those, among all
  };

  DebertaStem(Device& device, const DebertaConfig& c, const typename Block::Projection::Options& options)
      : embeddings(device, c.vocab, c.positions, c.segments, c.hidden, c.eps), dropout{c.dropout}, buckets_(c.buckets) {
    if (c.relative) relative = Tensor<Device, W, 2>(device, c.buckets.count(), c.hidden);
    if (c.normed) relative_norm = Norm(device, c.hidden, c.eps);
    if (c.taps > 0) convolution = ConvolutionBranch<Device>(device, c.hidden, c.taps, c.convolution_function, c.eps);
    convolution.dropout = {c.dropout, Dropout<Device>::kFirst + 3};
    blocks.layers.reserve(std::size_t(c.layers));
    const DisentangledOptions attention{c.hidden, c.heads, c.head_dim, c.content_to_position, c.position_to_content, c.shared || !c.relative};
    for (Index l = 0; l < c.layers; ++l) {
      const std::string at = "deberta.encoder.layer." + std::to_string(l);
      blocks.layers.emplace_back(Attention(device, attention, at + ".attention", options), Norm(device, c.hidden, c.eps),
                                 FeedForward(device, c.hidden, c.feed_forward, c.function, at, options),
                                 Norm(device, c.hidden, c.eps));
      auto& block = blocks.layers.back();
      block.first = l == 0;
      const std::uint32_t first = Dropout<Device>::kFirst + 4 + 4 * std::uint32_t(l);
      block.attention.dropout = {c.attention_dropout, first}, block.attention.position_dropout = {c.dropout, first + 3};
      block.attention_dropout = {c.dropout, first + 1}, block.output_dropout = {c.dropout, first + 2};
    }
  }

  View<const W, 2> table() const { return embeddings.word.view(); }
  static Shape shape(const TextBatch& batch) { return batch.shape; }
  /// The most tokens that a sequence may have: any number where nothing is absolute.
  static Index longest(const DebertaConfig& c) { return c.positions > 0 ? c.positions : std::numeric_limits<Index>::max(); }

  Input upload(Pass<Device>& pass, const TextBatch& batch) {
    Input input{upload_text(pass, batch, embeddings.word.shape(0), embeddings.segment.shape(0)), nullptr, 0, 0};
    const Index seq = batch.shape.seq, most = embeddings.position.shape(0);
    if (most > 0) {
      require(seq <= most, "batch: sequences of {} tokens; this model has {} positions (max_position_embeddings)", seq, most);
      positions_.resize(std::size_t(batch.shape.tokens()));
      for (std::size_t i = 0; i < positions_.size(); ++i) positions_[i] = int(Index(i) % seq);
      input.positions = upload_list(pass, "positions", positions_, most);
    }
    if (!relative.empty()) {
      const Index most_apart = seq - 1, sides = seq + kernel::HeadLayout::lanes;
      input.first = buckets_.of(-most_apart), input.count = buckets_.of(most_apart) - input.first + 1;
      index_.clear();
      for (Index distance = -sides; distance <= sides; ++distance)
        index_.push_back(int(buckets_.of(std::clamp(distance, -most_apart, most_apart)) - input.first));
      auto there = pass.template vector<int>(Index(index_.size()));
      pass.device.upload(there.data, index_.data(), Index(index_.size()));
      input.index = there.data + sides;
    }
    return input;
  }

  View<T, 2> forward(Pass<Device>& pass, const Input& in) {
    auto x = embeddings.forward(pass, pass.shape.tokens(), in.tokens, in.positions, in.segments);
    dropout.apply(pass, x);
    context_ = {{{in.visible}, {}, in.index}, convolution ? &convolution : nullptr};
    if (!relative.empty()) {
      auto e = pass.matrix(in.count, x.cols());
      pass.device.for_each(e.size(), kernel::Copy<T, W>{std::as_const(relative).view().row(in.first), e.data});
      typename Norm::Activations act;
      context_.embeddings = relative_norm.weight.empty() ? e : relative_norm.forward(pass, e, act);
    }
    return blocks.forward(pass, x, context_);
  }
  void backward(Pass<Device>& pass, View<T, 2> dh, const Input&) { blocks.backward(pass, dh, context_); }

  template <class F>
  void token_maps(F&& f) const {
    if (convolution) f(convolution.weight.shape(0), convolution.weight.shape(1));
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("embeddings", self.embeddings);
    f("encoder.layer", self.blocks);
    if (!self.relative.empty()) f("encoder.rel_embeddings.weight", self.relative);
    if (!self.relative_norm.weight.empty()) f("encoder.LayerNorm", self.relative_norm);
    if (self.convolution) f("encoder.conv", self.convolution);
  }

  TextEmbedding<Device> embeddings;
  BlockStack<Device, Block> blocks;
  Tensor<Device, W, 2> relative;  // (positions, hidden), or empty
  Norm relative_norm;             // or empty
  ConvolutionBranch<Device> convolution;  // or empty
  Dropout<Device> dropout;

 private:
  RelativeBuckets buckets_;
  typename Block::Context context_{};
  std::vector<int> positions_, index_;
};

template <class Task>
struct DebertaTaskConfig : DebertaConfig {};

template <class Task>
struct DebertaFamily {
  static constexpr bool masked = std::is_same_v<Task, MaskedLanguage>;
  using Config = DebertaTaskConfig<Task>;
  using Batch = TextBatch;
  static constexpr std::string_view kTask = masked ? "" : "SEQ_CLS";
  template <class Device, template <class> class Adapter>
  using Stem = DebertaStem<Device, Adapter>;
  template <class Device>
  using Classifier = PooledClassifier<Device, TrainedLinear<Device>, Deberta>;  ///< published checkpoints have no pooler: it is learnt
  template <class Device, template <class> class Adapter>
  using Head = std::conditional_t<masked, MaskedHead<Device, Adapter>, LabelHead<Device, Classifier<Device>>>;

  template <class Device, template <class> class Adapter>
  static Head<Device, Adapter> head(Device& device, const Config& c, const typename Linear<Device, Adapter>::Options& options) {
    if constexpr (masked) {
      return {device, Deberta::masked(c.legacy), c.hidden, c.vocab, c.function, c.eps, options};
    } else {
      Classifier<Device> classifier{TrainedLinear<Device>(c.hidden, c.hidden), TrainedLinear<Device>(c.hidden, c.labels.count)};
      classifier.between = {c.classifier_dropout, Dropout<Device>::kFirst + 1};
      classifier.before = {c.pooler_dropout, Dropout<Device>::kFirst + 2};
      return {std::move(classifier), c.labels};
    }
  }
};

template <Backend Device, template <class> class Adapter>
using DebertaForSequenceClassification = EncoderModel<Device, Adapter, DebertaFamily<SequenceClassification>>;
template <Backend Device, template <class> class Adapter>
using DebertaForMaskedLM = EncoderModel<Device, Adapter, DebertaFamily<MaskedLanguage>>;

}  // namespace espalier::inline v0
