// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/batch.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/core/target.hpp>
#include <espalier/core/visit.hpp>
#include <espalier/kernel/gather.hpp>
#include <espalier/model/source.hpp>
#include <espalier/nn/block.hpp>
#include <espalier/nn/language_head.hpp>
#include <string>
#include <vector>

namespace espalier::inline v0 {

/// The Llama family: Llama, Mistral, Qwen2 (q/k/v bias), Qwen3 (q/k norm).
struct LlamaConfig {
  Index vocab = 32000, hidden = 4096, layers = 32, heads = 32, groups = 32, head_dim = 128, feed_forward = 11008;
  bool qkv_bias = false, out_bias = false, feed_forward_bias = false, qk_norm = false, tied = false;
  double eps = 1e-6;
  RotaryOptions rotary = {};
  Index max_positions = 2048;
  Index longest = 0;  ///< a sliding window that no longer sequence may outgrow, since it is not computed; 0: there is none

  BlockOptions block() const {
    return {.attention = {.hidden = hidden, .heads = heads, .groups = groups, .head_dim = head_dim,
                          .qkv_bias = qkv_bias, .out_bias = out_bias, .qk_norm = qk_norm, .eps = eps},
            .feed_forward = feed_forward, .feed_forward_bias = feed_forward_bias, .eps = eps};
  }
};

/// Token embedding, decoder blocks, a last norm and the language head.                       Touvron et al. 2023
template <Backend Device, template <class> class Adapter>
class Llama {
 public:
  using DeviceType = Device;
  using T = typename Device::Activation;
  using W = typename Device::Weight;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  using AdapterOptions = typename Projection::Options;
  using Block = DecoderBlock<Device, Adapter>;
  using Config = LlamaConfig;
  struct Stem {  // the checkpoint's "model."
    Tensor<Device, W, 2> embed_tokens;  // (vocab, hidden)
    std::vector<Block> layers;
    RmsNorm<Device> norm;

    template <class Self, class F>
    static void visit(Self& self, F&& f) {
      f("embed_tokens.weight", self.embed_tokens);
      for (std::size_t l = 0; l < self.layers.size(); ++l) f("layers." + std::to_string(l), self.layers[l]);
      f("norm", self.norm);
    }
  };

  Llama(Device& device, const Config& c, const AdapterOptions& options = {})
      : config(c), adapter(options), run(device), rotary_(device, c.head_dim, c.rotary) {
    model.embed_tokens = Tensor<Device, W, 2>(device, c.vocab, c.hidden);
    model.layers.reserve(std::size_t(c.layers));
    for (Index l = 0; l < c.layers; ++l)
      model.layers.emplace_back(device, c.block(), "model.layers." + std::to_string(l), options);
    model.norm = RmsNorm<Device>(device, c.hidden, c.eps);
    if (!c.tied) lm_head = Tensor<Device, W, 2>(device, c.vocab, c.hidden);
    activations_.resize(model.layers.size());
    run.arena.bind(device, [this](auto&& f) { for_each_parameter(*this, [&](const auto&, auto& p) { f(p); }); });
  }

  Device& device() const { return *run.device; }
  std::vector<Block>& blocks() { return model.layers; }

  /// Mean cross-entropy over the counted targets; gradients are added to the parameters'.
  Loss<Device> loss(const Batch& batch) { return go(batch, /*learn=*/true); }
  /// The same number without gradients and without dropout.
  Loss<Device> evaluate(const Batch& batch) { return go(batch, /*learn=*/false); }

  /// Logits of every token, on the host: (tokens, vocab).
  std::vector<T> logits(std::span<const int> tokens, Shape shape) {
    Pass<Device> pass(run.workspace, shape);
    const auto h = forward(pass, {tokens, {}, shape});
    std::vector<T> out(std::size_t(shape.tokens() * config.vocab));
    const Index step = logit_rows(config.vocab, shape.tokens());
    auto some = pass.matrix(step, config.vocab);
    for (Index i = 0; i < shape.tokens(); i += step) {
      const Index n = std::min(step, shape.tokens() - i);
      device().gemm(A(1), h.rows(i, n), head().t(), A(0), some.rows(0, n));
      device().download(some.data, out.data() + i * config.vocab, n * config.vocab);
    }
    return out;
  }

  /// What leaves the network together: key-value groups of heads, and feed-forward channels, block by block.
  template <class F>
  void groups(F&& f) {
    for (std::size_t l = 0; l < model.layers.size(); ++l) model.layers[l].groups(Index(l), f);
  }

  /// Paths are the names in a Hugging Face checkpoint.
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("model", self.model);
    if (!self.lm_head.empty()) f("lm_head.weight", self.lm_head);
  }

  Config config;
  AdapterOptions adapter;
  RunState<Device> run;
  ModelSource source;  ///< the directory it was read from, if any
  Stem model;
  Tensor<Device, W, 2> lm_head;  // (vocab, hidden); empty when tied to the embedding
  bool recompute = false;        ///< keep only each block's input and run it forward twice: less memory, a third more work

 private:
  View<const W, 2> head() const { return lm_head.empty() ? model.embed_tokens.view() : lm_head.view(); }

  View<T, 2> forward(Pass<Device>& pass, const Batch& batch) {
    const Index n = batch.shape.tokens();
    require(Index(batch.tokens.size()) == n, "batch: {} tokens, expected {} x {}", batch.tokens.size(),
            batch.shape.batch, batch.shape.seq);
    require(config.longest == 0 || batch.shape.seq <= config.longest,
            "batch: sequences of {} tokens; this model has a sliding window (sliding_window) of {}, which is not supported "
            "beyond its length", batch.shape.seq, config.longest);
    for (const int id : batch.tokens)  // a wrong one would read beyond the embedding
      require(id >= 0 && id < config.vocab, "batch: token {} is outside the vocabulary of {}", id, config.vocab);
    auto tokens = pass.template vector<int>(n);
    device().upload(tokens.data, batch.tokens.data(), n);
    auto x = pass.matrix(n, config.hidden);
    device().for_each_row(n, kernel::Embed<T, W>{model.embed_tokens.view(), tokens.data, x});
    angles_ = rotary_.angles(pass);
    for (std::size_t l = 0; l < model.layers.size(); ++l) {
      auto& block = model.layers[l];
      x = recompute ? block.forward_briefly(pass, x, activations_[l], angles_)
                    : block.forward(pass, x, activations_[l], angles_);
    }
    return model.norm.forward(pass, x, last_);
  }

  Loss<Device> go(const Batch& batch, bool learn) {
    const Index n = batch.shape.tokens(), counted = batch.weight > 0 ? 1 : batch.counted();
    require(Index(batch.targets.size()) == n, "batch: {} targets for {} tokens", batch.targets.size(), n);
    for (const int id : batch.targets)
      require(id == kIgnore || (id >= 0 && id < config.vocab),
              "batch: target {} is neither -100 nor in the vocabulary of {}", id, config.vocab);
    const double weight = batch.weight > 0 ? batch.weight : counted > 0 ? 1 / double(counted) : 0;
    run.step.micro = batch.micro;
    run.publish();
    Pass<Device> pass(run.workspace, batch.shape, run.on_device(), learn);
    auto targets = pass.template vector<int>(n);
    device().upload(targets.data, batch.targets.data(), n);
    device().for_each(1, kernel::Fill<A>{run.total(), A(0)});
    const auto h = forward(pass, batch);
    const std::size_t lowest = learn ? lowest_learner() : model.layers.size();
    const bool backward = lowest < model.layers.size();
    auto dh = backward ? pass.matrix(n, config.hidden) : View<T, 2>{};
    language_loss<Device>(pass, h, head(), targets.data, A(weight), run.total(), dh);
    if (backward) {
      auto d = pass.zeros(n, config.hidden);
      model.norm.backward(pass, dh, last_, d);
      for (std::size_t l = model.layers.size(); l-- > lowest; std::swap(d, dh)) {
        if (l > lowest) device().for_each(dh.size(), kernel::Fill<T>{dh.data, T(0)});
        const auto below = l > lowest ? dh : View<T, 2>{};
        auto& block = model.layers[l];
        if (recompute) {
          block.backward_briefly(pass, d, activations_[l], below, angles_);
        } else {
          block.backward(pass, d, activations_[l], below, angles_);
        }
      }
    }
    return {device(), run.total()};
  }

  /// Gradients reach the lowest block that learns or is watched, and no further.
  std::size_t lowest_learner() {
    for (std::size_t l = 0; l < model.layers.size(); ++l)
      if (model.layers[l].learns()) return l;
    return model.layers.size();
  }

  Rotary<Device> rotary_;
  RotaryAngles<Device> angles_{};
  std::vector<typename Block::Activations> activations_;
  typename RmsNorm<Device>::Activations last_{};
};

}  // namespace espalier::inline v0
