// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/image_batch.hpp>
#include <espalier/model/encoder_model.hpp>
#include <espalier/model/label_head.hpp>
#include <espalier/nn/block.hpp>
#include <espalier/nn/block_stack.hpp>
#include <espalier/nn/layer_norm.hpp>
#include <espalier/nn/mlp.hpp>
#include <espalier/nn/patch_embedding.hpp>
#include <espalier/nn/self_attention.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::inline v0 {

struct VitConfig {
  Index hidden = 768, layers = 12, heads = 12, groups = 12, head_dim = 64, feed_forward = 3072;
  kernel::PatchGrid grid{3, 224, 224, 16, 16};
  bool qkv_bias = true;
  ActivationFunction function = ActivationFunction::gelu;
  double eps = 1e-12, deviation = 0.02;  ///< deviation: of the weights of a new head
  double dropout = 0, attention_dropout = 0;  ///< while the model is trained
  LabelOptions labels = {};
  bool tied = false;
};

struct VitAttentionNames {
  static constexpr const char *query = "attention.query", *key = "attention.key", *value = "attention.value",
                              *out = "output.dense";
};
struct VitWideNames {
  static constexpr const char *up = "intermediate.dense", *down = "output.dense";
};
struct VitBlockNames {
  static constexpr const char *input_norm = "layernorm_before", *attention = "attention", *middle_norm = "layernorm_after",
                              *feed_forward = "";
};

/// Patches, blocks and a last norm: the checkpoint's "vit".                                       Dosovitskiy et al. 2020
template <Backend Device, template <class> class Adapter>
class VitStem {
 public:
  using T = typename Device::Activation;
  using Norm = LayerNorm<Device>;
  using Attention = SelfAttention<Device, Adapter, VitAttentionNames>;
  using FeedForward = Mlp<Device, Adapter, VitWideNames>;
  using Block = PreNormBlock<Device, Norm, Attention, FeedForward, VitBlockNames>;
  static constexpr const char* kName = "vit";
  struct Input {
    const T* pixels;  // (batch, channels, height, width)
  };

  VitStem(Device& device, const VitConfig& c, const typename Block::Projection::Options& options)
      : embeddings(device, c.grid, c.hidden), norm(device, c.hidden, c.eps), dropout{c.dropout} {
    blocks.layers.reserve(std::size_t(c.layers));
    for (Index l = 0; l < c.layers; ++l) {
      const std::string at = "vit.encoder.layer." + std::to_string(l);
      blocks.layers.emplace_back(Norm(device, c.hidden, c.eps),
                                 Attention(device, c.hidden, c.heads, c.head_dim, c.qkv_bias, at + ".attention", options),
                                 Norm(device, c.hidden, c.eps),
                                 FeedForward(device, c.hidden, c.feed_forward, c.function, at, options));
      auto& block = blocks.layers.back();
      const std::uint32_t first = Dropout<Device>::kFirst + 4 + 4 * std::uint32_t(l);
      block.self_attn.dropout = {c.attention_dropout, first};
      block.attention_dropout = {c.dropout, first + 1}, block.output_dropout = {c.dropout, first + 2};
    }
  }

  Shape shape(const ImageBatch& batch) const { return {batch.batch, embeddings.position.shape(0)}; }
  Input upload(Pass<Device>& pass, const ImageBatch& batch) {
    const auto& g = embeddings.grid;
    require(batch.channels == g.channels && batch.height == g.height && batch.width == g.width,
            "batch: images of {} x {} with {} channels; this model wants {} x {} with {} (image_size, num_channels)",
            batch.height, batch.width, batch.channels, g.height, g.width, g.channels);
    const Index n = batch.batch * g.channels * g.height * g.width;
    require(Index(batch.pixels.size()) == n, "batch: {} numbers for {} images of {} x {} x {}", batch.pixels.size(),
            batch.batch, g.channels, g.height, g.width);
    pixels_.resize(std::size_t(n));
    for (std::size_t i = 0; i < pixels_.size(); ++i) pixels_[i] = T(batch.pixels[i]);
    auto there = pass.template vector<T>(n);
    pass.device.upload(there.data, pixels_.data(), n);
    return {there.data};
  }

  View<T, 2> forward(Pass<Device>& pass, const Input& in) {
    auto x = embeddings.forward(pass, in.pixels);
    dropout.apply(pass, x);
    return norm.forward(pass, blocks.forward(pass, x, {}), last_);
  }
  void backward(Pass<Device>& pass, View<T, 2> dh, const Input&) {
    auto d = pass.zeros(dh.rows(), dh.cols());
    norm.backward(pass, dh, last_, d);
    blocks.backward(pass, d, {});
  }

  /// Of a patch: the first token, of the whole image, is there without one.
  template <class F>
  void token_maps(F&& f) const {
    f(embeddings.weight.shape(0), embeddings.weight.shape(1));
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("embeddings", self.embeddings);
    f("encoder.layer", self.blocks);
    f("layernorm", self.norm);
  }

  PatchEmbedding<Device> embeddings;
  BlockStack<Device, Block> blocks;
  Norm norm;
  Dropout<Device> dropout;

 private:
  typename Norm::Activations last_{};
  std::vector<T> pixels_;
};

/// logits = classifier(x)
template <Backend Device>
struct PlainClassifier {
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Activations = typename TrainedLinear<Device>::Activations;

  View<A, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const { return classifier.forward(pass, x, act); }
  void backward(Pass<Device>& pass, View<const A, 2> dlogits, const Activations& act, View<T, 2> dx) {
    classifier.backward(pass, dlogits, act, dx);
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("classifier", self.classifier);
  }

  TrainedLinear<Device> classifier;
};

struct VitFamily {
  using Config = VitConfig;
  using Batch = ImageBatch;
  static constexpr std::string_view kTask = "";  ///< PEFT has no name for it
  template <class Device, template <class> class Adapter>
  using Stem = VitStem<Device, Adapter>;
  template <class Device, template <class> class Adapter>
  using Head = LabelHead<Device, PlainClassifier<Device>>;

  template <class Device, template <class> class Adapter>
  static Head<Device, Adapter> head(Device&, const Config& c, const typename Linear<Device, Adapter>::Options&) {
    return {PlainClassifier<Device>{TrainedLinear<Device>(c.hidden, c.labels.count)}, c.labels};
  }
};

template <Backend Device, template <class> class Adapter>
using VitForImageClassification = EncoderModel<Device, Adapter, VitFamily>;

}  // namespace espalier::inline v0
