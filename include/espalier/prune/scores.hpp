// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/loss.hpp>
#include <espalier/kernel/units.hpp>
#include <espalier/prune/gathered_inputs.hpp>
#include <espalier/prune/importance.hpp>
#include <espalier/prune/units.hpp>

namespace espalier::inline v0 {

/// The running scores of every unit of a model, on the device: from rows and columns to units, normalised, added over a
/// group's projections, smoothed. Nothing waits for the device and nothing is allocated until somebody looks.
template <class Model>
class Scores {
 public:
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;
  using Projection = typename Model::Projection;

  explicit Scores(Model& model) : model_(model), units_(model) { allocate(), tell_masks(); }

  Units<Model>& units() { return units_; }

  /// After a compaction: running scores and statistics of inputs follow their units.
  void rebuild() {
    look();
    std::vector<std::vector<int>> origins;
    for (const Entry& e : units_.entries()) origins.push_back(e.origin);
    std::vector<std::vector<std::uint8_t>> stays;  // of each side: its layer is still there
    for (const Entry& e : units_.entries()) {
      auto& here = stays.emplace_back();
      const auto& now = e.group.mask->origin();
      for (const auto& side : e.sides)
        here.push_back(side.unit < 0 || std::binary_search(now.begin(), now.end(), e.origin[std::size_t(side.unit)]));
    }
    inputs_.drop(stays);
    units_.lay_out(model_);
    inputs_.follow(device(), units_, origins);
    allocate(), tell_masks();
    restore();
    watching_ = false;  // compaction took the probes away
  }

  /// Refuses a model in which a group would always score zero, and takes memory for what the score reads.
  template <class Score>
  void prepare_for(const Score&) {
    if constexpr (reads_inputs(Score::needs)) inputs_.template allocate<Score>(device(), units_);
    if constexpr (Score::needs == Needs::adapter_gradients)
      for (const auto& e : units_.entries()) {
        bool any = false;
        for (const auto& s : e.sides) any = any || (detail::LowRank<decltype(s.projection->adapter)> && s.projection->adapter.active());
        require(
            any,
            "pruner: {}: this importance reads the gradients of low-rank adapters, and none of its projections has an active "
            "one; give them adapters or score by another importance",
            e.group.name());
      }
  }

  /// Probes on every projection that a unit has a part of; what they saw before is forgotten.
  template <class Score>
  void watch(const Score& score) {
    zero(raw_);
    std::size_t w = 0;
    for (const auto& e : units_.entries())
      for (const auto& side : e.sides) {
        watchers_[w] = {&score, inputs_.of(w), 0};
        if (!reads_inputs(Score::needs) || watchers_[w].inputs != nullptr)
          side.projection->probe = {&watchers_[w], &observe<Score>, detail::watched_side<Score>(side.axis), raw(side)};
        ++w;
      }
    watching_ = true;
  }
  void unwatch() {
    if (watching_)
      for (auto& e : units_.entries())
        for (auto& side : e.sides) side.projection->probe = {};
    watching_ = false;
  }
  /// Adapters that mix outputs know which of them are masked.
  void tell_masks(bool known = true) {
    for (auto& e : units_.entries())
      for (auto& side : e.sides)
        if constexpr (requires { side.projection->adapter.outputs; })
          if (side.axis == Axis::rows)
            side.projection->adapter.outputs = known ? side.mask->outputs(side.slices.front().width) : OutputMask<A>{};
  }

  /// Refuses a step that went by without a backward pass, for scores that watch it.
  template <class Score>
  void require_seen() const {
    if constexpr (watches_backward(Score::needs)) {
      Index seen = 0;
      for (const Watcher& w : watchers_) seen = std::max(seen, w.seen);
      require(!watching_ || seen > 0,
              "pruner.step(): no backward pass since the last step; call model.loss(batch) first");
    }
  }
  /// Scores of this step join the running ones.
  template <class Score, class Mask>
  void update(const Score& score, const Mask& mask, Normalise normalise) {
    require_seen<Score>();
    if constexpr (watches_backward(Score::needs))
      if (!watching_) return;  // units left since the last step: it was not seen
    Pass<Device> pass(model_.run.workspace, {}, model_.run.on_device());
    device().record([&] { compute(pass, score, mask, normalise); });
  }
  /// The step is over: statistics of inputs count less from now on.
  template <class Score>
  void age(const Score& score) {
    if constexpr (reads_inputs(Score::needs)) inputs_.age(device(), units_, score.decay);
  }
  /// Units have been masked that were alive in `before`, group by group: the score changes the weights that stay.
  template <class Score>
  void leave(const Score& score, const std::vector<std::vector<std::uint8_t>>& before) {
    Pass<Device> pass(model_.run.workspace, {}, model_.run.on_device());
    inputs_.leave(pass, units_, score, before, part_.data());
  }
  /// f(name, numbers) for the statistics of inputs, and for weights that change.
  template <class F>
  void visit_inputs(F&& f, bool weights) {
    inputs_.visit_state(device(), units_, f, weights);
  }

  /// Brings the running scores to the host, under their units' numbers before any compaction.
  void look() {
    device().download(running_.data(), host_.data(), Index(host_.size()));
    for (auto& e : units_.entries())
      for (std::size_t u = 0; u < e.origin.size(); ++u)
        e.last[std::size_t(e.origin[u])] = double(host_[std::size_t(e.first) + u]);
  }
  /// And from there to the device.
  void restore() {
    for (const auto& e : units_.entries())
      for (std::size_t u = 0; u < e.origin.size(); ++u)
        host_[std::size_t(e.first) + u] = A(e.last[std::size_t(e.origin[u])]);
    device().upload(running_.data(), host_.data(), Index(host_.size()));
  }

  /// Running scores into the candidates; warn(name, times, now) for groups that had scores which are not finite.
  template <class Warn>
  void download(std::vector<Candidates>& to, Warn&& warn) {
    look();
    std::vector<int> bad(2 * units_.entries().size());
    device().download(bad_.data(), bad.data(), Index(bad.size()));
    for (std::size_t n = 0; n < units_.entries().size(); ++n) {
      const auto& e = units_.entries()[n];
      for (std::size_t u = 0; u < e.origin.size(); ++u) to[n].scores[u] = e.last[std::size_t(e.origin[u])];
      to[n].skipped = bad[2 * n] != 0;
      if (bad[2 * n + 1] != 0) warn(e.group.name(), Index(bad[2 * n + 1]), to[n].skipped);
      bad[2 * n + 1] = 0;
    }
    device().upload(bad_.data(), bad.data(), Index(bad.size()));
  }

 private:
  using Entry = typename Units<Model>::Entry;
  /// What a probe points at.
  struct Watcher {
    const void* score = nullptr;
    InputStatistics<Device>* inputs = nullptr;
    mutable Index seen = 0;
  };

  template <class Score>
  static void observe(const void* observer, Pass<Device>& pass, const Projection& p, const Probe<Projection>& probe,
                      const typename Probe<Projection>::Sight& sight) {
    const auto& watcher = *static_cast<const Watcher*>(observer);
    if constexpr (reads_inputs(Score::needs)) watcher.inputs->add(pass, sight.x);
    else static_cast<const Score*>(watcher.score)->observe(pass, p, probe.axis, sight, probe.score);
    ++watcher.seen;
  }

  /// Launches and products only.
  template <class Score, class Mask>
  void compute(Pass<Device>& pass, const Score& score, const Mask& mask, Normalise normalise) {
    zero(fresh_);
    for (std::size_t n = 0, w = 0; n < units_.entries().size(); ++n) {
      auto& e = units_.entries()[n];
      const Index count = e.group.units();
      const auto total = vector(fresh_.data() + e.first, count);
      if constexpr (requires { score.score_units(pass, e.group, Index(n), origin_.data(), total); }) {
        score.score_units(pass, e.group, Index(n), origin_.data() + e.first, total);
      } else {
        for (const auto& side : e.sides) {
          const Index own_units = side.count();
          const auto alive = normalise == Normalise::alive ? side.mask->forward() : View<const A, 1>{};
          const std::size_t number = w++;
          if (!detail::reads<Score>(side.axis)) continue;
          const auto numbers = raw(side);
          if constexpr (Score::needs != Needs::backward) {
            device().for_each(numbers.size(), kernel::Fill<A>{numbers.data, A(0)});
            if constexpr (reads_inputs(Score::needs)) {
              auto inputs = inputs_.of(number)->inputs();
              if (side.axis == Axis::columns) inputs.units = side.mask->outputs(side.slices.front().width);
              score.score(pass, *side.projection, side.axis, inputs, numbers);
            } else {
              score.score(pass, *side.projection, side.axis, numbers);
            }
          }
          for (const auto& slice : side.slices) {
            const auto part = vector(part_.data(), own_units);
            const auto own = vector<const A>(numbers.data + slice.at(0, own_units), own_units * slice.width);
            device().for_each_row(own_units, kernel::UnitSums<Score, A>{score, watchers_[number].seen, slice.width, own, part});
            if (side.unit >= 0) {  // a layer's score is the sum of those of its heads and channels
              device().for_each_row(1, kernel::SumInto<A>{part, total.data + side.unit});
              continue;
            }
            device().for_each_row(1, kernel::AddNormalised<A>{part, alive, normalise != Normalise::none,
                                                              A(normalise == Normalise::all ? 1e-8 : 0), total});
          }
        }
      }
      mask.smooth(device(), View<const A, 1>(total), vector(running_.data() + e.first, count), bad_.data() + 2 * n);
    }
  }

  Device& device() const { return *model_.run.device; }
  View<A, 1> raw(const typename Units<Model>::Side& side) { return vector(raw_.data() + side.first, side.extent); }
  template <class Buffer>
  void zero(Buffer& buffer) {
    device().for_each(buffer.size(), kernel::Fill<A>{buffer.data(), A(0)});
  }
  void allocate() {
    std::vector<int> origin;
    std::size_t sides = 0;
    for (const Entry& e : units_.entries())
      origin.insert(origin.end(), e.origin.begin(), e.origin.end()), sides += e.sides.size();
    raw_ = Numbers(device(), units_.numbers()), part_ = Numbers(device(), units_.widest());
    fresh_ = Numbers(device(), units_.units()), running_ = Numbers(device(), units_.units());
    bad_ = Integers(device(), 2 * Index(units_.entries().size())), origin_ = Integers(device(), units_.units());
    device().upload(origin_.data(), origin.data(), units_.units());
    host_.resize(std::size_t(units_.units()));
    watchers_.assign(sides, {});
  }

  using Numbers = typename Device::template Buffer<A>;
  using Integers = typename Device::template Buffer<int>;
  Model& model_;
  Units<Model> units_;
  Numbers raw_, fresh_, running_, part_;  // rows and columns; units of this step; smoothed; of one slice
  Integers bad_, origin_;                 // two a group; of each unit
  std::vector<A> host_;
  std::vector<Watcher> watchers_;  // of each side
  GatheredInputs<Model> inputs_;   // where a score reads them
  bool watching_ = false;
};

}  // namespace espalier::inline v0
