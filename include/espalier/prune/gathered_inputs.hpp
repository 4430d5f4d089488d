// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/prune/importance.hpp>
#include <espalier/prune/input_statistics.hpp>
#include <espalier/prune/units.hpp>

namespace espalier::inline v0 {

/// The statistics of inputs of all sides that a score reads, by the number of the side.
template <class Model>
class GatheredInputs {
 public:
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;
  using Statistics = InputStatistics<Device>;
  using Entry = typename Units<Model>::Entry;
  using Bits = std::vector<std::uint8_t>;

  template <class Score>
  void allocate(Device& device, const Units<Model>& units) {
    constexpr auto kind = Score::needs == Needs::input_squares ? InputStatistic::squares : InputStatistic::products;
    sides_.clear();
    for (const Entry& e : units.entries())
      for (const auto& side : e.sides)
        sides_.push_back(detail::reads<Score>(side.axis) ? Statistics(device, side.projection->in(), kind)
                                                         : Statistics());
  }
  /// Those of one side, if somebody reads them.
  Statistics* of(std::size_t side) {
    return side < sides_.size() && !sides_[side].empty() ? &sides_[side] : nullptr;
  }

  void age(Device& device, const Units<Model>& units, double decay) {
    each(units, [&](const Entry&, std::size_t, Statistics& s) { s.age(device, decay); });
  }

  /// Sides of layers that are gone leave, group by group.
  void drop(const std::vector<Bits>& stays) {
    if (sides_.empty()) return;
    std::vector<Statistics> left;
    std::size_t w = 0;
    for (const Bits& group : stays)
      for (const auto bit : group) {
        if (bit) left.push_back(std::move(sides_[w]));
        ++w;
      }
    sides_ = std::move(left);
  }

  /// Columns whose units are gone leave; these had the numbers `origins` before, group by group.
  void follow(Device& device, const Units<Model>& units, const std::vector<std::vector<int>>& origins) {
    each(units, [&](const Entry& e, std::size_t number, Statistics& s) {
      const auto& side = e.sides[number];
      const std::vector<int>& before = origins[place(units, e)];
      if (side.unit >= 0 || side.axis == Axis::rows || before.size() == e.origin.size()) return;
      std::vector<int> kept;
      for (const auto& slice : side.slices)
        for (std::size_t u = 0; u < before.size(); ++u)
          if (std::binary_search(e.origin.begin(), e.origin.end(), before[u]))
            for (Index j = 0; j < slice.width; ++j) kept.push_back(int(slice.at(Index(u), Index(before.size())) + j));
      s.keep(device, kept);
    });
  }

  /// Units have been masked that were alive before: the score changes weights that stay. some: room for a group's bits.
  template <class Score>
  void leave(Pass<Device>& pass, const Units<Model>& units, const Score& score, const std::vector<Bits>& before,
             A* some) {
    each(units, [&](const Entry& e, std::size_t number, Statistics& s) {
      const auto& side = e.sides[number];
      const Bits& bits = before[place(units, e)];
      if (bits == e.group.mask->alive()) return;
      const std::vector<A> numbers(bits.begin(), bits.end());
      const auto alive = vector<const A>(some, Index(numbers.size()));
      pass.device.upload(some, numbers.data(), alive.size());
      auto inputs = s.inputs();
      inputs.units = e.group.mask->outputs(side.slices.front().width);
      score.leave(pass, *side.projection, inputs, OutputMask<A>{alive, alive, inputs.units.width});
      changed_ = true;
    });
  }

  /// f(name, numbers), projection by projection, of all columns that there ever were; weights: and for those that change.
  template <class F>
  void visit_state(Device& device, const Units<Model>& units, F&& f, bool weights) {
    each(units, [&](const Entry& e, std::size_t number, Statistics& s) {
      const auto& side = e.sides[number];
      const std::string at = e.group.layer < 0 ? "pruner." + e.group.kind : format("pruner.{}.{}", e.group.layer, e.group.kind);
      const std::string mine = side.name.empty() ? std::to_string(number) : side.name;
      const Index full = side.axis == Axis::rows ? s.in() : s.in() / side.count() * side.mask->full();
      const std::vector<int> places = places_of(side);
      s.visit_state(device, format("{}.inputs.{}", at, mine), f, places, full);
      if (weights) visit_weight(device, format("{}.weight.{}", at, mine), side.projection->weight, f, places, full);
    });
  }

 private:
  static std::size_t place(const Units<Model>& units, const Entry& e) {
    return std::size_t(&e - units.entries().data());
  }
  /// f(entry, number of the side in it, statistics) where there are any.
  template <class F>
  void each(const Units<Model>& units, F&& f) {
    std::size_t w = 0;
    for (const Entry& e : units.entries())
      for (std::size_t number = 0; number < e.sides.size(); ++number, ++w)
        if (Statistics* const s = of(w)) f(e, number, *s);
  }
  /// Which column of the uncompacted model each one is.
  static std::vector<int> places_of(const typename Units<Model>::Side& side) {
    std::vector<int> places;
    if (side.axis == Axis::rows) {
      for (Index j = 0; j < side.projection->in(); ++j) places.push_back(int(j));
      return places;
    }
    for (const auto& slice : side.slices)
      for (const int u : side.mask->origin())
        for (Index j = 0; j < slice.width; ++j) places.push_back(int(slice.at(u, side.mask->full()) + j));
    return places;
  }
  /// No numbers for as long as no weight has changed.
  template <class Weight, class F>
  void visit_weight(Device& device, const std::string& name, Weight& weight, F&& f, const std::vector<int>& places,
                    Index full) {
    using W = typename Weight::Element;
    const Index rows = weight.shape(0), cols = weight.shape(1);
    std::vector<W> numbers(std::size_t(weight.size()), W(0.0f));
    std::vector<double> state;
    const auto each_number = [&](auto&& exchange) {
      for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j)
          exchange(numbers[std::size_t(i * cols + j)], state[std::size_t(i * full + places[std::size_t(j)])]);
    };
    if (changed_) {
      state.resize(std::size_t(rows * full));
      device.download(weight.view().data, numbers.data(), weight.size());
      each_number([](const W& here, double& there) { there = double(widen<Wide<W>>(here)); });
    }
    f(name, state);
    if (state.empty() && !changed_) return;
    require(Index(state.size()) == rows * full,
            "pruner state: {} has {} numbers, expected {}: it belongs to another model", name, state.size(), rows * full);
    changed_ = true;
    each_number([](W& here, const double& there) { here = W(Wide<W>(there)); });
    device.upload(weight.view().data, numbers.data(), weight.size());
  }

  std::vector<Statistics> sides_;
  bool changed_ = false;  // weights have made up for units that left
};

}  // namespace espalier::inline v0
