// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/core/error.hpp>
#include <espalier/nn/group.hpp>
#include <espalier/prune/plan.hpp>
#include <espalier/prune/select.hpp>
#include <string>
#include <utility>

namespace espalier::inline v0 {

/// Every unit of a model on the host: to which group it belongs, its place in flat arrays over all units, and its score
/// when it was last looked at.
template <class Model>
class Units {
 public:
  using Device = typename Model::DeviceType;
  using Projection = typename Model::Projection;
  /// Rows or columns of a projection that units of one group own between them.
  struct Side {
    Projection* projection;
    Axis axis;
    std::vector<Slice<Projection>> slices;
    Index first, extent;         // in an array over all sides
    UnitMask<Device>* mask;      // of those who own it
    Index unit = -1;             // where units are layers: the one that all of these belong to
    std::string name = {};       // a layer's own by its first number; empty: it has no other name than its place
    Index count() const { return mask->units(); }
  };
  struct Entry {
    Group<Device, Projection> group;
    Index first = 0;           // of its units in an array over all units
    std::vector<Side> sides;
    std::vector<int> origin;   // (units) number before any compaction
    std::vector<double> last;  // (full) score when last looked at
  };

  explicit Units(Model& model) {
    model.groups([&](Group<Device, Projection> g) { entries_.push_back({std::move(g), 0, {}, {}, {}}); });
    require(!entries_.empty(), "pruner: the model has no groups of units");
    for (Entry& e : entries_) e.last.assign(std::size_t(e.group.mask->full()), 0.0);
    lay_out(model);
  }

  /// Finds places for the units that are there now.
  void lay_out(Model& model) {
    units_ = numbers_ = widest_ = 0;
    std::size_t next = 0;
    model.groups([&](Group<Device, Projection> g) { entries_[next++].group = std::move(g); });  // layers may have moved
    for (Entry& e : entries_) {
      e.first = units_, e.sides.clear(), e.origin = e.group.mask->origin();
      add_sides(e, e.group, -1);
      for (const auto& inner : e.group.inner) add_sides(e, inner, inner.layer);
      units_ += e.group.units(), widest_ = std::max(widest_, e.group.units());
    }
  }
  /// Whether units are still where they were.
  bool current() const {
    for (const Entry& e : entries_)
      if (Index(e.origin.size()) != e.group.units()) return false;
    return true;
  }

  std::vector<Entry>& entries() { return entries_; }
  const std::vector<Entry>& entries() const { return entries_; }
  Index units() const { return units_; }      ///< of all groups
  Index numbers() const { return numbers_; }  ///< rows or columns of all sides
  Index widest() const { return widest_; }    ///< units of the largest group, inner ones too

  /// Each group as the selection sees it.
  std::vector<Candidates> candidates(const PrunerOptions& o) const {
    Index layers = 0;
    for (const Entry& e : entries_) layers = std::max(layers, e.group.inner.empty() ? e.group.layer + 1 : e.group.mask->full());
    std::vector<Candidates> out;
    for (const Entry& e : entries_) {
      const auto& g = e.group;
      Candidates c{.kind = g.kind, .layer = g.layer, .full = g.mask->full(), .cost = g.cost(), .scores = {},
                   .alive = g.mask->alive()};
      c.scores.resize(c.alive.size());
      const bool heads = g.kind == "heads" || g.kind == "queries", channels = g.kind == "channels";
      if (channels) c.round = o.round_to;
      if (g.parts > 1) {
        c.parts = g.parts, c.even = o.even, c.round = o.even ? g.parts : 1;
        for (std::size_t u = 0; u < c.alive.size(); ++u) c.part.push_back(g.part(u));
      }
      c.least = std::max({c.parts, heads ? o.min_heads : channels ? o.min_channels : 1,
                          Index(std::ceil(o.layer_floor * double(c.full) - 1e-9))});
      c.excluded = (heads && !o.heads) || (channels && !o.channels);
      for (const Index x : o.exclude) c.excluded = c.excluded || (g.layer >= 0 && g.layer == (x < 0 ? x + layers : x));
      if (g.kind == "hidden") c.round = o.round_to;
      if (!g.inner.empty()) {  // layers that stay
        for (const int u : e.origin)
          c.fixed.push_back(std::any_of(o.exclude.begin(), o.exclude.end(), [&](Index x) { return u == (x < 0 ? x + layers : x); }));
        c.least = std::max(c.least, Index(std::count(c.fixed.begin(), c.fixed.end(), std::uint8_t{1})));
      }
      c.layers = layers;
      if (o.official) c.excluded = c.excluded || g.layer < layers / 10 || g.layer == layers - 1;
      out.push_back(std::move(c));
    }
    return out;
  }
  /// Bits as the masks have them now, and back into the masks.
  void look(std::vector<Candidates>& to) const {
    for (std::size_t n = 0; n < entries_.size(); ++n) to[n].alive = entries_[n].group.mask->alive();
  }
  void apply(Device& device, const std::vector<Candidates>& from, bool straight_through) {
    for (std::size_t n = 0; n < entries_.size(); ++n)
      if (auto& mask = *entries_[n].group.mask; from[n].alive != mask.alive())
        mask.set(device, from[n].alive, straight_through);
  }

  std::vector<PlanGroup> plan() const {
    std::vector<PlanGroup> groups;
    for (const Entry& e : entries_) {
      PlanGroup g{e.group.kind, e.group.layer, e.group.mask->full(), {}, e.last};
      for (std::size_t u = 0; u < e.origin.size(); ++u)
        if (e.group.mask->alive()[u]) g.kept.push_back(e.origin[u]);
      groups.push_back(std::move(g));
    }
    return groups;
  }

  /// Per group, under the units' numbers before any compaction: f(name, scores as last looked at) and f(name, bits).
  template <class F>
  void visit_state(Device& device, F&& f, bool straight_through) {
    for (Entry& e : entries_) {
      auto& mask = *e.group.mask;
      const auto same = [&](const char* what, const std::vector<double>& x, Index n) {
        require(Index(x.size()) == n, "pruner state: {} of {} has {} numbers, expected {}: it belongs to another model",
                what, e.group.name(), x.size(), n);
      };
      const std::string at = "pruner." + (e.group.layer < 0 ? "" : std::to_string(e.group.layer) + ".") + e.group.kind;
      std::vector<double> alive(std::size_t(mask.full()), 0.0);
      for (std::size_t u = 0; u < e.origin.size(); ++u) alive[std::size_t(e.origin[u])] = mask.alive()[u];
      f(at + ".scores", e.last);
      f(at + ".alive", alive);
      same("scores", e.last, mask.full()), same("alive", alive, mask.full());
      std::vector<std::uint8_t> bits(e.origin.size());
      for (std::size_t u = 0; u < bits.size(); ++u) bits[u] = alive[std::size_t(e.origin[u])] != 0;
      mask.set(device, bits, straight_through);
    }
  }

 private:
  void add_sides(Entry& e, const Group<Device, Projection>& group, Index unit) {
    const std::size_t before = e.sides.size();
    group.for_each_side([&](Projection& p, Axis axis, const auto& slices) {
      Index owned = 0;
      for (const auto& s : slices) owned += group.units() * s.width;
      const Index extent = axis == Axis::rows ? p.out() : p.in();
      require(extent == owned, "{}: {} units own {} rows or columns of a projection that has {}", group.name(), group.units(),
              owned, extent);
      Side side{&p, axis, slices, numbers_, extent, group.mask, unit};
      if (unit >= 0) side.name = format("{}.{}.{}", e.origin[std::size_t(unit)], group.kind, e.sides.size() - before);
      e.sides.push_back(std::move(side));
      numbers_ += extent;
    });
    widest_ = std::max(widest_, group.units());
  }

  std::vector<Entry> entries_;
  Index units_ = 0, numbers_ = 0, widest_ = 0;
};

}  // namespace espalier::inline v0
