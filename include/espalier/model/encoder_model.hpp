// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/batch.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/core/visit.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/model/source.hpp>
#include <espalier/nn/linear.hpp>
#include <espalier/nn/trained_linear.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// A stem and a head of a task: encoders. A Family says
///
///   Config, Batch                             what is configured, and what goes in
///   kTask                                     what PEFT calls the task; empty: nothing
///   Stem(device, config, adapter options)     everything below the head; kName is its path in a checkpoint
///     blocks                                  its BlockStack
///     shape(batch), upload(pass, batch)       how many positions; what goes in, checked, on the device
///     forward(pass, input), backward(pass, dh)
///     token_maps(f)                           optional: see below, of maps that are no projections
///   Head, head(device, config, options)       what is asked: see LabelHead
template <Backend Device, template <class> class Adapter, class Family>
class EncoderModel {
 public:
  using DeviceType = Device;
  using T = typename Device::Activation;
  using W = typename Device::Weight;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  using Trained = TrainedLinear<Device>;
  using AdapterOptions = typename Projection::Options;
  using Stem = typename Family::template Stem<Device, Adapter>;
  using Head = typename Family::template Head<Device, Adapter>;
  using Config = typename Family::Config;
  using Batch = typename Family::Batch;
  static constexpr auto kTask = Family::kTask;

  EncoderModel(Device& device, const Config& c, const AdapterOptions& options = {})
      : config(c), adapter(options), run(device), stem(device, c, options),
        head(Family::template head<Device, Adapter>(device, c, options)) {
    run.arena.bind(device, [this](auto&& f) { for_each_parameter(*this, [&](const auto&, auto& p) { f(p); }); });
  }

  Device& device() const { return *run.device; }
  auto& blocks() { return stem.blocks.layers; }

  /// The mean loss over the counted labels; gradients are added to the parameters'.
  Loss<Device> loss(const Batch& batch) { return go(batch, /*learn=*/true); }
  /// The same number without gradients and without dropout.
  Loss<Device> evaluate(const Batch& batch) { return go(batch, /*learn=*/false); }
  /// What the head says, on the host: (batch, labels), or (tokens, vocab). Labels are not looked at.
  std::vector<A> logits(const Batch& batch) {
    Pass<Device> pass(run.workspace, stem.shape(batch));
    const auto input = stem.upload(pass, batch);
    return head.logits(pass, stem, stem.forward(pass, input));
  }

  /// What the head says, on the host, and the mean loss of it, with one trip through the stem.
  struct Prediction {
    std::vector<A> logits;
    double loss;
  };
  Prediction predict(const Batch& batch) {
    const Index counted = batch.counted();
    run.step.weight = counted > 0 ? 1 / double(counted) : 0;
    run.publish();
    Pass<Device> pass(run.workspace, stem.shape(batch));
    const auto wanted = head.upload(pass, batch.labels);
    const auto input = stem.upload(pass, batch);
    const auto h = stem.forward(pass, input);
    std::vector<A> logits = head.logits(pass, stem, h);
    device().for_each(1, kernel::Fill<A>{run.total(), A(0)});
    head.loss(pass, stem, h, wanted, run.weight(), run.total(), {}, /*learn=*/false);
    return {std::move(logits), double(Loss<Device>(device(), run.total()))};
  }

  /// What leaves the network together: heads and feed-forward channels, block by block.
  template <class F>
  void groups(F&& f) {
    stem.blocks.groups(f);
  }
  /// f(out, in) for every map that a token goes through: not those of a head that works once for a sequence.
  template <class F>
  void token_maps(F&& f) {
    auto projection = [&](const std::string&, auto& p) { f(p.out(), p.in()); };
    walk(stem, detail::AnyOf<Projection>(projection));
    if constexpr (requires { stem.token_maps(f); }) stem.token_maps(f);
    head.token_maps(stem, f);
  }
  /// Paths are the names in a Hugging Face checkpoint.
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(Stem::kName, self.stem);
    f("", self.head);
  }

  Config config;
  AdapterOptions adapter;
  RunState<Device> run;
  ModelSource source;  ///< the directory it was read from, if any
  Stem stem;
  Head head;

 private:
  Loss<Device> go(const Batch& batch, bool learn) {
    const Index counted = batch.weight > 0 ? 1 : batch.counted();
    const double weight = batch.weight > 0 ? batch.weight : counted > 0 ? 1 / double(counted) : 0;
    run.step.micro = batch.micro, run.step.weight = weight;
    run.publish();
    Pass<Device> pass(run.workspace, stem.shape(batch), run.on_device(), learn);
    const auto wanted = head.upload(pass, batch.labels);
    const auto input = stem.upload(pass, batch);
    device().record([&] { compute(pass, input, wanted, learn); });
    return {device(), run.total()};
  }

  /// total = loss, and gradients of what learns. Launches and products only.
  void compute(Pass<Device>& pass, const typename Stem::Input& input, const typename Head::Wanted& wanted, bool learn) {
    device().for_each(1, kernel::Fill<A>{run.total(), A(0)});
    const auto h = stem.forward(pass, input);
    const bool below = learn && stem.blocks.learns();
    auto dh = below ? pass.zeros(h.rows(), h.cols()) : View<T, 2>{};
    head.loss(pass, stem, h, wanted, run.weight(), run.total(), dh, learn);
    if (below) stem.backward(pass, dh, input);
  }
};

}  // namespace espalier::inline v0
