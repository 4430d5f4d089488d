// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/visit.hpp>
#include <espalier/nn/group.hpp>
#include <espalier/prune/importance.hpp>
#include <espalier/prune/plan.hpp>
#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace espalier::inline v0 {

/// Rows and columns of every trained matrix and every mask, and units of every group, as they are, or as they will be once
/// a plan has been applied and compacted: so that a file can be held against a model before the model is cut.
template <class Model>
class Extents {
 public:
  using Device = typename Model::DeviceType;

  Extents() = default;
  Extents(Model& model, const Plan& plan) {
    model.groups([&](auto group) {
      for (const PlanGroup& g : plan.groups) {
        if (g.kind != group.kind || g.layer != group.layer) continue;
        const Index units = Index(g.kept.size());
        units_[group.mask] = units;
        if constexpr (requires { model.blocks(); })
          if (!group.inner.empty())
            for (std::size_t l = 0; l < model.blocks().size(); ++l)
              if (!std::binary_search(g.kept.begin(), g.kept.end(), group.mask->origin()[l])) leave(model.blocks()[l]);
        group.for_each_side([&](auto& p, Axis axis, const auto& slices) {
          Index extent = 0;
          for (const auto& slice : slices) extent += units * slice.width;
          auto& weight = shapes_.try_emplace(&p.weight_mask, std::vector<Index>{p.out(), p.in()}).first->second;
          weight[axis == Axis::rows ? 0 : 1] = extent;
          if constexpr (AddsTerm<decltype(p.adapter)>) {
            if (!p.adapter.present()) return;
            p.adapter.follow(axis, [&](Parameter<Device>& parameter, Axis side) {
              auto& shape = shapes_.try_emplace(&parameter, of(parameter)).first->second;
              shape[side == Axis::rows ? 0 : 1] = extent;
            });
          }
        });
      }
    });
  }

  std::vector<Index> of(const Parameter<Device>& p) const {
    const auto at = shapes_.find(&p);
    return at == shapes_.end() ? std::vector<Index>{p.rows, p.cols} : at->second;
  }
  /// Of the words that hold its bits.
  std::vector<Index> of(const WeightMask<Device>& mask) const {
    const auto at = shapes_.find(&mask);
    if (at == shapes_.end()) return {mask.bits().rows(), mask.bits().cols()};
    return {at->second[0], kernel::bit_words(at->second[1])};
  }
  /// Whether it leaves with its layer.
  bool gone(const void* parameter_or_mask) const { return gone_.count(parameter_or_mask) > 0; }
  Index of(const UnitMask<Device>& mask) const {
    const auto at = units_.find(&mask);
    return at == units_.end() ? mask.units() : at->second;
  }

 private:
  template <class Block>
  void leave(Block& block) {
    for_each_parameter(block, [&](const std::string&, auto& p) { gone_.insert(&p); });
    for_each_projection(block, [&](const std::string&, auto& p) { gone_.insert(&p.weight_mask); });
  }
  std::map<const void*, std::vector<Index>> shapes_;
  std::map<const void*, Index> units_;
  std::set<const void*> gone_;
};

}  // namespace espalier::inline v0
