// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/visit.hpp>
#include <espalier/nn/group.hpp>
#include <espalier/prune/importance.hpp>
#include <espalier/prune/plan.hpp>
#include <espalier/prune/select.hpp>

namespace espalier::inline v0 {

/// The running scores of every unit of a model, on the device: from rows and columns to units, normalised, added over a
/// group's projections, smoothed. Nothing waits for the device and nothing is allocated until somebody looks.
template <class Model>
class Scores {
 public:
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;
  using Projection = typename Model::Projection;
  using GroupType = Group<Device, Projection>;

  explicit Scores(Model& model) : model_(model) {
    model.groups([&](GroupType g) { entries_.push_back({std::move(g), {}, 0, {}, {}, {}}); });
    require(!entries_.empty(), "pruner: the model has no groups of units");
    for (Entry& e : entries_) e.last.assign(std::size_t(e.group.mask->full()), 0.0);
    lay_out();
  }

  /// Whether units are still where they were.
  bool current() const {
    for (const Entry& e : entries_)
      if (Index(e.origin.size()) != e.group.units()) return false;
    return true;
  }
  /// After a compaction: running scores follow their units.
  void rebuild() {
    remember();
    lay_out();
    watching_ = false;  // compaction took the probes away
    for (const Entry& e : entries_) {
      std::vector<A> score;
      for (const int u : e.origin) score.push_back(A(e.last[std::size_t(u)]));
      device().upload(running_.data() + e.first, score.data(), Index(score.size()));
    }
  }

  template <class Score>
  void require_seen_by(const Score&) const {
    if constexpr (Score::needs == Needs::adapter_gradients)
      for (const Entry& e : entries_) {
        bool any = false;
        for (const auto& s : e.group.slices) any = any || s.projection->adapter.active();
        require(any, "pruner: {}: this importance reads the gradients of adapters, and none of its projections has an active "
                "one; give them adapters or score by another importance", e.group.name());
      }
  }

  std::vector<Candidates> candidates(const PrunerOptions& o) const {
    Index layers = 0;
    for (const Entry& e : entries_) layers = std::max(layers, e.group.layer + 1);
    std::vector<Candidates> out;
    for (const Entry& e : entries_) {
      const GroupType& g = e.group;
      Candidates c{.kind = g.kind, .layer = g.layer, .full = g.mask->full(), .cost = g.cost(),
                   .round = g.kind == "channels" ? o.round_to : 1, .scores = {}, .alive = g.mask->alive()};
      c.scores.resize(c.alive.size());
      c.excluded = (g.kind == "heads" && !o.heads) || (g.kind == "channels" && !o.channels);
      for (const Index x : o.exclude) c.excluded = c.excluded || g.layer == (x < 0 ? x + layers : x);
      if (o.official) c.excluded = c.excluded || g.layer < layers / 10 || g.layer == layers - 1;
      out.push_back(std::move(c));
    }
    return out;
  }

  /// Probes on every projection that a unit has a part of; what they saw before is forgotten.
  template <class Score>
  void watch(const Score& score) {
    zero(raw_);
    for (Entry& e : entries_)
      for (std::size_t i = 0; i < e.group.slices.size(); ++i) {
        auto& slice = e.group.slices[i];
        e.passes[i] = {&score, 0};
        slice.projection->probe = {&e.passes[i], &observe<Score>, slice.axis, raw(e, i)};
      }
    watching_ = true;
  }
  void unwatch() {
    if (watching_)
      for (Entry& e : entries_)
        for (auto& slice : e.group.slices) slice.projection->probe = {};
    watching_ = false;
  }

  /// Scores of this step join the running ones.
  template <class Score, class Mask>
  void update(const Score& score, const Mask& mask, Normalise normalise) {
    if constexpr (Score::needs == Needs::backward) {
      require(entries_.front().passes.front().seen > 0 || !watching_,
              "pruner.step(): no backward pass since the last step; call model.loss(batch) first");
      if (!watching_ || entries_.front().passes.front().seen == 0) return;
    }
    Pass<Device> pass(model_.run.workspace, {}, model_.run.on_device());
    zero(fresh_);
    for (std::size_t n = 0; n < entries_.size(); ++n) {
      Entry& e = entries_[n];
      const Index units = e.group.units();
      const auto total = vector(fresh_.data() + e.first, units);
      const auto part = vector(part_.data(), units);
      if constexpr (requires { score.score_units(pass, e.group, Index(n), origin_.data(), total); }) {
        score.score_units(pass, e.group, Index(n), origin_.data() + e.first, total);
      } else {
        for (std::size_t i = 0; i < e.group.slices.size(); ++i) {
          const auto& slice = e.group.slices[i];
          if constexpr (Score::needs != Needs::backward) {
            const auto numbers = raw(e, i);
            device().for_each(numbers.size(), kernel::Fill<A>{numbers.data, A(0)});
            score.score(pass, *slice.projection, slice.axis, numbers);
          }
          device().for_each_row(units, kernel::UnitSums<Score, A>{score, e.passes[i].seen, slice.width, raw(e, i), part});
          const auto alive = normalise == Normalise::alive ? e.group.mask->forward() : View<const A, 1>{};
          device().for_each_row(1, kernel::AddNormalised<A>{part, alive, normalise != Normalise::none,
                                                            A(normalise == Normalise::all ? 1e-8 : 0), total});
        }
      }
      mask.smooth(device(), View<const A, 1>(total), vector(running_.data() + e.first, units), bad_.data() + 2 * n);
    }
  }

  /// Running scores to the host; warn(name, times, now) for groups that had scores which are not finite.
  template <class Warn>
  void download(std::vector<Candidates>& to, Warn&& warn) {
    remember();
    std::vector<int> bad(2 * entries_.size());
    device().download(bad_.data(), bad.data(), Index(bad.size()));
    for (std::size_t n = 0; n < entries_.size(); ++n) {
      const Entry& e = entries_[n];
      for (std::size_t u = 0; u < e.origin.size(); ++u) to[n].scores[u] = e.last[std::size_t(e.origin[u])];
      to[n].skipped = bad[2 * n] != 0;
      if (bad[2 * n + 1] != 0) warn(e.group.name(), Index(bad[2 * n + 1]), to[n].skipped);
      bad[2 * n + 1] = 0;
    }
    device().upload(bad_.data(), bad.data(), Index(bad.size()));
  }

  /// Bits as the masks have them now.
  void look(std::vector<Candidates>& to) const {
    for (std::size_t n = 0; n < entries_.size(); ++n) to[n].alive = entries_[n].group.mask->alive();
  }
  void apply(const std::vector<Candidates>& from, bool straight_through) {
    for (std::size_t n = 0; n < entries_.size(); ++n)
      if (from[n].alive != entries_[n].group.mask->alive())
        entries_[n].group.mask->set(device(), from[n].alive, straight_through);
  }

  void plan(std::vector<PlanGroup>& groups) {
    remember();
    for (const Entry& e : entries_) {
      PlanGroup g{e.group.kind, e.group.layer, e.group.mask->full(), {}, e.last};
      for (std::size_t u = 0; u < e.origin.size(); ++u)
        if (e.group.mask->alive()[u]) g.kept.push_back(e.origin[u]);
      groups.push_back(std::move(g));
    }
  }

  /// Per group: running scores of present units, bits of present units, and the last scores of all.
  template <class F>
  void visit_state(F&& f, bool straight_through) {
    remember();
    for (Entry& e : entries_) {
      auto& mask = *e.group.mask;
      const auto same = [&](const char* what, const std::vector<double>& x, Index n) {
        require(Index(x.size()) == n, "pruner state: {} of {} has {} numbers, expected {}: it belongs to another model", what,
                e.group.name(), x.size(), n);
      };
      const std::string at = "pruner." + std::to_string(e.group.layer) + "." + e.group.kind;
      std::vector<double> scores = e.last, alive(mask.alive().begin(), mask.alive().end());
      f(at + ".scores", scores);
      f(at + ".alive", alive);
      same("scores", scores, mask.full()), same("alive", alive, mask.units());
      e.last = scores;
      std::vector<A> running;
      for (const int u : e.origin) running.push_back(A(scores[std::size_t(u)]));
      device().upload(running_.data() + e.first, running.data(), Index(running.size()));
      mask.set(device(), std::vector<std::uint8_t>(alive.begin(), alive.end()), straight_through);
    }
  }

 private:
  /// What a probe points at.
  struct Watcher {
    const void* score = nullptr;
    mutable Index seen = 0;
  };
  struct Entry {
    GroupType group;
    std::vector<int> origin;      // (units) as of the last rebuild
    Index first;                  // of its units in the flat arrays
    std::vector<Index> raw;       // first row or column of each slice in the flat array
    std::vector<Watcher> passes;  // of each slice
    std::vector<double> last;     // (full) running scores as last downloaded
  };

  template <class Score>
  static void observe(const void* observer, Pass<Device>& pass, const Projection& p, const Probe<Projection>& probe,
                      const typename Probe<Projection>::Sight& sight) {
    const auto& watcher = *static_cast<const Watcher*>(observer);
    static_cast<const Score*>(watcher.score)->observe(pass, p, probe.axis, sight, probe.score);
    ++watcher.seen;
  }

  Device& device() const { return *model_.run.device; }
  template <class T>
  void zero(T& buffer) {
    device().for_each(buffer.size(), kernel::Fill<A>{buffer.data(), A(0)});
  }
  View<A, 1> raw(const Entry& e, std::size_t slice) {
    const auto& s = e.group.slices[slice];
    return vector(raw_.data() + e.raw[slice], e.group.units() * s.width);
  }

  void lay_out() {
    Index units = 0, numbers = 0, widest = 0;
    std::vector<int> origin;
    for (Entry& e : entries_) {
      e.first = units, e.raw.clear();
      for (const auto& s : e.group.slices) {
        const auto& p = *s.projection;
        const Index extent = s.axis == Axis::rows ? p.out() : p.in();
        require(extent == e.group.units() * s.width, "{}: {} units of {} on an axis of {}", e.group.name(),
                e.group.units(), s.width, extent);
        e.raw.push_back(numbers), numbers += extent;
      }
      e.passes.assign(e.group.slices.size(), {});
      e.origin = e.group.mask->origin();
      origin.insert(origin.end(), e.origin.begin(), e.origin.end());
      units += e.group.units(), widest = std::max(widest, e.group.units());
    }
    raw_ = Buffer(device(), numbers), fresh_ = Buffer(device(), units), running_ = Buffer(device(), units);
    part_ = Buffer(device(), widest);
    bad_ = Flags(device(), 2 * Index(entries_.size())), origin_ = Flags(device(), units);
    device().upload(origin_.data(), origin.data(), units);
    host_.resize(std::size_t(units));
  }
  /// Running scores as they are on the device now, under their units' numbers before any compaction.
  void remember() {
    device().download(running_.data(), host_.data(), Index(host_.size()));
    for (Entry& e : entries_)
      for (std::size_t u = 0; u < e.origin.size(); ++u)
        e.last[std::size_t(e.origin[u])] = double(host_[std::size_t(e.first) + u]);
  }

  using Buffer = typename Device::template Buffer<A>;
  using Flags = typename Device::template Buffer<int>;
  Model& model_;
  std::vector<Entry> entries_;
  Buffer raw_, fresh_, running_, part_;  // rows and columns; units of this step; smoothed; of one slice
  Flags bad_, origin_;                   // two a group; of each unit
  std::vector<A> host_;
  bool watching_ = false;
};

}  // namespace espalier::inline v0
