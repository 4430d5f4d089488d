// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/encoder_model.hpp>
#include <espalier/model/label_head.hpp>
#include <espalier/model/masked_head.hpp>
#include <espalier/model/text_input.hpp>
#include <espalier/nn/block_stack.hpp>
#include <espalier/nn/dropout.hpp>
#include <espalier/nn/either_linear.hpp>
#include <espalier/nn/post_norm_block.hpp>
#include <espalier/nn/self_attention.hpp>
#include <espalier/nn/text_embedding.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

struct BertConfig {
  Index vocab = 30522, hidden = 768, layers = 12, heads = 12, groups = 12, head_dim = 64, feed_forward = 3072;
  Index max_positions = 512, segments = 2;
  Index pad = 0;  ///< the token of padding: RoBERTa counts the others, from the position behind its number
  ActivationFunction function = ActivationFunction::gelu;
  double eps = 1e-12, deviation = 0.02;  ///< deviation: of the weights of a new head
  double dropout = 0.1, attention_dropout = 0.1, classifier_dropout = 0.1;  ///< while the model is trained
  LabelOptions labels = {};
  bool trained_pooler = false;  ///< no file has it: it starts with a new head, and learns as that does
  bool tied = false;
};

/// What the two kinds call their parts, and how they count positions.
struct Bert {
  static constexpr const char *kName = "bert", *kClass = "Bert", *decoder = "cls.predictions.decoder",
                              *first = "bert.pooler.dense", *out = "classifier";
  static constexpr MaskedNames masked{"cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"};
  using Pooled = kernel::Tanh;
  static constexpr bool pooler = true;  ///< the stem's, so that it is frozen where files have it; adapters find it as any linear map
  static Index position(Index t, Index, Index) { return t; }
  static Index longest(Index positions, Index) { return positions; }  ///< tokens of a sequence
};
struct Roberta {
  static constexpr const char *kName = "roberta", *kClass = "Roberta", *decoder = "lm_head.decoder",
                              *first = "classifier.dense", *out = "classifier.out_proj";
  static constexpr MaskedNames masked{"lm_head.dense", "lm_head.layer_norm", "lm_head.bias"};
  using Pooled = kernel::Tanh;
  static constexpr bool pooler = false;
  /// count: of the tokens up to this one that are no padding; 0: it is padding itself.
  static Index position(Index, Index count, Index pad) { return pad + count; }
  static Index longest(Index positions, Index pad) { return positions - pad - 1; }
};

struct BertAttentionNames {
  static constexpr const char *query = "self.query", *key = "self.key", *value = "self.value", *out = "output.dense";
};
struct BertWideNames {
  static constexpr const char *up = "intermediate.dense", *down = "output.dense";
};
struct BertBlockNames {
  static constexpr const char *attention = "attention", *middle_norm = "attention.output.LayerNorm", *feed_forward = "",
                              *output_norm = "output.LayerNorm";
};

/// Embeddings and blocks that look both ways.                             Devlin et al. 2018; RoBERTa: Liu et al. 2019
template <Backend Device, template <class> class Adapter, class Kind>
class BertStem {
 public:
  using T = typename Device::Activation;
  using W = typename Device::Weight;
  using Norm = LayerNorm<Device>;
  using Attention = SelfAttention<Device, Adapter, BertAttentionNames>;
  using FeedForward = Mlp<Device, Adapter, BertWideNames>;
  using Block = PostNormBlock<Device, Norm, Attention, FeedForward, BertBlockNames>;
  static constexpr const char* kName = Kind::kName;
  using Input = TextInput;

  BertStem(Device& device, const BertConfig& c, const typename Block::Projection::Options& options)
      : embeddings(device, c.vocab, c.max_positions, c.segments, c.hidden, c.eps), dropout{c.dropout}, pad_(c.pad) {
    blocks.layers.reserve(std::size_t(c.layers));
    for (Index l = 0; l < c.layers; ++l) {
      const std::string at = std::string(kName) + ".encoder.layer." + std::to_string(l);
      blocks.layers.emplace_back(Attention(device, c.hidden, c.heads, c.head_dim, true, at + ".attention", options),
                                 Norm(device, c.hidden, c.eps),
                                 FeedForward(device, c.hidden, c.feed_forward, c.function, at, options),
                                 Norm(device, c.hidden, c.eps));
      auto& block = blocks.layers.back();
      const std::uint32_t first = Dropout<Device>::kFirst + 4 + 4 * std::uint32_t(l);
      block.attention.dropout = {c.attention_dropout, first};
      block.attention_dropout = {c.dropout, first + 1}, block.output_dropout = {c.dropout, first + 2};
    }
  }

  View<const W, 2> table() const { return embeddings.word.view(); }
  static Shape shape(const TextBatch& batch) { return batch.shape; }
  /// The most tokens that a sequence may have.
  static Index longest(const BertConfig& c) { return Kind::longest(c.max_positions, c.pad); }

  Input upload(Pass<Device>& pass, const TextBatch& batch) {
    const Index most = embeddings.position.shape(0);
    auto input = upload_text(pass, batch, embeddings.word.shape(0), embeddings.segment.shape(0));
    positions_.clear();
    for (Index b = 0; b < batch.shape.batch; ++b)
      for (Index t = 0, count = 0; t < batch.shape.seq; ++t) {
        const bool text = batch.tokens[std::size_t(b * batch.shape.seq + t)] != pad_;
        count += text;
        positions_.push_back(int(Kind::position(t, text ? count : 0, pad_)));
        require(positions_.back() < most, "batch: sequences of {} tokens reach position {}; this model has {} "
                "(max_position_embeddings)", batch.shape.seq, positions_.back(), most);
      }
    input.positions = upload_list(pass, "positions", positions_, most);
    return input;
  }

  View<T, 2> forward(Pass<Device>& pass, const Input& in) {
    auto x = embeddings.forward(pass, pass.shape.tokens(), in.tokens, in.positions, in.segments);
    dropout.apply(pass, x);
    return blocks.forward(pass, x, {in.visible});
  }
  void backward(Pass<Device>& pass, View<T, 2> dh, const Input& in) { blocks.backward(pass, dh, {in.visible}); }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("embeddings", self.embeddings);
    f("encoder.layer", self.blocks);
  }

  TextEmbedding<Device> embeddings;
  BlockStack<Device, Block> blocks;
  Dropout<Device> dropout;

 private:
  Index pad_;
  std::vector<int> positions_;
};

/// A class, several, or numbers for each sequence.
struct SequenceClassification {};
/// The tokens that masked places hide.
struct MaskedLanguage {};

template <class Kind, class Task>
struct BertTaskConfig : BertConfig {};

template <class Kind, class Task>
struct BertFamily {
  static constexpr bool masked = std::is_same_v<Task, MaskedLanguage>;
  using Config = BertTaskConfig<Kind, Task>;
  using Batch = TextBatch;
  static constexpr std::string_view kTask = masked ? "" : "SEQ_CLS";  ///< what PEFT calls it; it has no name for the other
  template <class Device, template <class> class Adapter>
  using Stem = BertStem<Device, Adapter, Kind>;
  template <class Device, template <class> class Adapter>
  using Classifier =
      PooledClassifier<Device, std::conditional_t<Kind::pooler, EitherLinear<Device, Adapter>, TrainedLinear<Device>>, Kind>;
  template <class Device, template <class> class Adapter>
  using Head = std::conditional_t<masked, MaskedHead<Device, Adapter>, LabelHead<Device, Classifier<Device, Adapter>>>;

  template <class Device, template <class> class Adapter>
  static Head<Device, Adapter> head(Device& device, const Config& c, const typename Linear<Device, Adapter>::Options& options) {
    if constexpr (masked) {
      return {device, Kind::masked, c.hidden, c.vocab, Kind::pooler ? c.function : ActivationFunction::gelu, c.eps, options};
    } else {
      Classifier<Device, Adapter> classifier;
      if (!Kind::pooler || c.trained_pooler) classifier.first = TrainedLinear<Device>(c.hidden, c.hidden);
      if constexpr (Kind::pooler)
        if (!c.trained_pooler) classifier.first = Linear<Device, Adapter>(device, c.hidden, c.hidden, true, Kind::first, options);
      classifier.out = TrainedLinear<Device>(c.hidden, c.labels.count);
      const std::uint32_t stream = Dropout<Device>::kFirst + 1;
      classifier.between = {c.classifier_dropout, stream};
      if (!Kind::pooler) classifier.before = {c.classifier_dropout, stream + 1};
      return {std::move(classifier), c.labels};
    }
  }
};

template <Backend Device, template <class> class Adapter>
using BertForSequenceClassification = EncoderModel<Device, Adapter, BertFamily<Bert, SequenceClassification>>;
template <Backend Device, template <class> class Adapter>
using BertForMaskedLM = EncoderModel<Device, Adapter, BertFamily<Bert, MaskedLanguage>>;
template <Backend Device, template <class> class Adapter>
using RobertaForSequenceClassification = EncoderModel<Device, Adapter, BertFamily<Roberta, SequenceClassification>>;
template <Backend Device, template <class> class Adapter>
using RobertaForMaskedLM = EncoderModel<Device, Adapter, BertFamily<Roberta, MaskedLanguage>>;

}  // namespace espalier::inline v0
