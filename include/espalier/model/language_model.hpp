// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/batch.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/core/target.hpp>
#include <espalier/core/visit.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/model/layer_widths.hpp>
#include <espalier/model/source.hpp>
#include <espalier/model/stem_units.hpp>
#include <espalier/model/token_input.hpp>
#include <espalier/nn/language_head.hpp>
#include <espalier/nn/linear.hpp>
#include <espalier/nn/recompute.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// A stem (embeddings, blocks, a last norm) and the language head: causal language modelling. A Family says what its stem
/// and its configuration are; the stem is
///
///   Stem(device, config, adapter options)           everything below the head; kName is its path in a checkpoint
///   Block, layers                                   its blocks, and what they share in a pass: Block::Context context(pass, in)
///   embed(pass, in), norm, table()                  the first map, the last one, and the weight that a tied head borrows
template <Backend Device, template <class> class Adapter, class Family>
class LanguageModel {
 public:
  using DeviceType = Device;
  using T = typename Device::Activation;
  using W = typename Device::Weight;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  using AdapterOptions = typename Projection::Options;
  using Stem = typename Family::template Stem<Device, Adapter>;
  using Block = typename Stem::Block;
  using Config = typename Family::Config;

  LanguageModel(Device& device, const Config& c, const AdapterOptions& options = {})
      : config(c), adapter(options), run(device), model(device, c, options) {
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

  /// Logits of every token, on the host: (tokens, vocab). Positions are those of a Batch.
  std::vector<T> logits(std::span<const int> tokens, Shape shape, std::span<const int> positions = {}) {
    Pass<Device> pass(run.workspace, shape);
    const auto h = forward(pass, upload(pass, {.tokens = tokens, .targets = {}, .shape = shape, .positions = positions}));
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

  Granularity granularity() const { return units_.granularity(); }
  /// What shall leave together from now on. Units that have left are known by another's numbers, so that a model which has
  /// lost some goes on as it began.
  void prune_by(Granularity granularity) { units_.prune_by(device(), model, lm_head, granularity); }
  /// What leaves the network together; and heads and channels, block by block, whatever does.
  template <class F>
  void groups(F&& f) {
    units_.groups(model, lm_head, f);
  }
  template <class F>
  void inner_groups(F&& f) {
    units_.inner_groups(model, f);
  }
  /// For compact(): what follows the channels of the residual stream and is no projection's, and what is there afterwards.
  template <class F>
  void residual(F&& f) {
    units_.residual(model, lm_head, f);
  }
  void hidden_left() {
    units_.hidden_left(model);
    config.hidden = model.table().shape(1);
  }
  void keep_layers(const std::vector<int>& kept) {
    units_.keep_layers(model, kept);
    std::vector<LayerWidths> widths;
    for (const int l : kept)
      if (!config.widths.empty()) widths.push_back(config.widths[std::size_t(l)]);
    config.widths = std::move(widths), config.layers = Index(kept.size());
    activations_.assign(kept.size(), {});
  }
  /// f(out, in) for every map that a token goes through.
  template <class F>
  void token_maps(F&& f) {
    for_each_projection(*this, [&](const std::string&, auto& p) { f(p.out(), p.in()); });
    f(head().rows(), head().cols());
  }
  /// The weight of the language head: (vocab, hidden).
  View<const W, 2> head() const { return lm_head.empty() ? model.table().view() : lm_head.view(); }
  /// What the model that this one began as calls a tensor, and where layers have their numbers in that.
  std::string first_name(const std::string& path) const { return units_.first_name(path); }
  static std::string layer_path() { return StemUnits<Device, Stem>::layer_path(); }

  /// Paths are the names in a Hugging Face checkpoint.
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(Stem::kName, self.model);
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
  TokenInput upload(Pass<Device>& pass, const Batch& batch) {
    const Index n = batch.shape.tokens();
    require(Index(batch.tokens.size()) == n, "batch: {} tokens, expected {} x {}", batch.tokens.size(),
            batch.shape.batch, batch.shape.seq);
    config.check_length(longest_document(batch));
    for (const int id : batch.tokens)  // a wrong one would read beyond the embedding
      require(id >= 0 && id < config.vocab, "batch: token {} is outside the vocabulary of {}", id, config.vocab);
    const auto there = [&](std::span<const int> numbers) {
      auto list = pass.template vector<int>(n);
      device().upload(list.data, numbers.data(), n);
      return list.data;
    };
    return {there(batch.tokens), batch.positions.empty() ? nullptr : there(batch.positions)};
  }

  View<T, 2> forward(Pass<Device>& pass, const TokenInput& in) {
    auto x = model.embed(pass, in);
    if (const auto mask = units_.embedded())
      pass.device.for_each_row(x.rows(), kernel::MaskOutputs<T, A>{x, mask.forward, mask.width, x});
    context_ = model.context(pass, in);
    for (std::size_t l = 0; l < model.layers.size(); ++l) {
      auto& block = model.layers[l];
      block.residual = units_.residual_of(l, x.cols());
      x = recompute ? forward_briefly(block, pass, View<const T, 2>(x), activations_[l], context_)
                    : block.forward(pass, x, activations_[l], context_);
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
    run.step.micro = batch.micro, run.step.weight = weight;
    run.publish();
    Pass<Device> pass(run.workspace, batch.shape, run.on_device(), learn);
    auto targets = pass.template vector<int>(n);
    device().upload(targets.data, batch.targets.data(), n);
    const TokenInput in = upload(pass, batch);
    device().record([&] { compute(pass, in, targets.data, learn); });
    return {device(), run.total()};
  }

  /// total = loss, and gradients of what learns. Launches and products only.
  void compute(Pass<Device>& pass, const TokenInput& in, const int* targets, bool learn) {
    device().for_each(1, kernel::Fill<A>{run.total(), A(0)});
    const auto h = forward(pass, in);
    const std::size_t lowest = learn ? lowest_learner() : model.layers.size();
    const bool backward = lowest < model.layers.size();
    auto dh = backward ? pass.matrix(h.rows(), h.cols()) : View<T, 2>{};
    language_loss<Device>(pass, h, head(), targets, run.weight(), run.total(), dh);
    if (!backward) return;
    auto d = pass.zeros(h.rows(), h.cols());
    model.norm.backward(pass, dh, last_, d);
    for (std::size_t l = model.layers.size(); l-- > lowest; std::swap(d, dh)) {
      if (l > lowest) device().for_each(dh.size(), kernel::Fill<T>{dh.data, T(0.0f)});
      const auto below = l > lowest ? dh : View<T, 2>{};
      auto& block = model.layers[l];
      if (recompute) {
        backward_briefly(block, pass, View<const T, 2>(d), activations_[l], below, context_);
      } else {
        block.backward(pass, d, activations_[l], below, context_);
      }
    }
  }

  /// Gradients reach the lowest block that learns or is watched, and no further.
  std::size_t lowest_learner() {
    for (std::size_t l = 0; l < model.layers.size(); ++l)
      if (model.layers[l].learns()) return l;
    return model.layers.size();
  }

  StemUnits<Device, Stem> units_;
  typename Block::Context context_{};
  std::vector<typename Block::Activations> activations_;
  typename Stem::Norm::Activations last_{};
};

}  // namespace espalier::inline v0
