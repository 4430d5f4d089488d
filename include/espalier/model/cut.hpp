// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/core/error.hpp>
#include <espalier/nn/group.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// One side of a tensor as it is written: these rows (or columns), zeros where it says −1.
struct CutSide {
  std::vector<Index> from;
  bool whole = true;  ///< nothing leaves and nothing is added: from is not used
  Index block = 1;    ///< so many rows at a time may stand in any order: heads whose rows change places

  Index size(Index all) const { return whole ? all : Index(from.size()); }
};
struct TensorCut {
  CutSide rows, columns;
};

/// How a model with masks, or with layers of different width, is written: as one with a single width for every kind of
/// unit, or each layer as it is.
///
/// A unit of zeros contributes exactly nothing: silu(0) · 0 meets zero columns of `down`; a zero key-value head gives zero
/// values, which meet zero columns of `o`. So a model padded with them is the same function.
class CutPlan {
 public:
  /// Widths per kind, as the widest layer asks for them.
  template <class Model>
  explicit CutPlan(Model& model) {
    model.groups([&](auto&& group) {
      const Index alive = std::count(group.mask->alive().begin(), group.mask->alive().end(), 1);
      require(alive > 0, "{}: every unit is masked; keep at least one", group.name());
      auto& kind = kinds_[group.kind];
      if (kind.layers.empty()) kind.least = kind.most = alive;
      kind.least = std::min(kind.least, alive), kind.most = std::max(kind.most, alive);
      kind.layers.push_back(alive);
      kind.full = std::max(kind.full, group.mask->full());
      masked_ = masked_ || group.mask->masked();
    });
  }

  bool uniform() const {
    for (const auto& [name, kind] : kinds_)
      if (kind.least != kind.most) return false;
    return true;
  }
  Index width(const std::string& kind) const { return kinds_.at(kind).most; }
  Index full(const std::string& kind) const { return kinds_.at(kind).full; }
  void widen(const std::string& kind, Index width) { kinds_.at(kind).most = width; }
  /// Every layer keeps its own width; nothing is padded.
  void keep_apart() { apart_ = true; }
  /// Of each layer, from the first on.
  const std::vector<Index>& layers(const std::string& kind) const { return kinds_.at(kind).layers; }

  /// Which layers stand out, in words.
  std::string differences() const {
    std::string text;
    for (const auto& [name, kind] : kinds_) {
      if (kind.least == kind.most) continue;
      text += format("{}{} of layers", text.empty() ? "" : "; ", name);
      for (std::size_t l = 0; l < kind.layers.size(); ++l) text += format("{} {}: {}", l == 0 ? "" : ",", l, kind.layers[l]);
    }
    return text;
  }

  /// By projection: what is written of it.
  template <class Model>
  std::map<const void*, TensorCut> cuts(Model& model) const {
    std::map<const void*, TensorCut> all;
    model.groups([&](auto&& group) {
      const auto& alive = group.mask->alive();
      const Index width = apart_ ? Index(std::count(alive.begin(), alive.end(), 1)) : kinds_.at(group.kind).most;
      if (!group.mask->masked() && width == Index(alive.size())) return;
      group.for_each_side([&](auto& projection, Axis axis, const auto& slices) {
        TensorCut& cut = all[&projection];
        CutSide& side = axis == Axis::rows ? cut.rows : cut.columns;
        side.whole = false;
        for (const auto& slice : slices) {
          const std::size_t end = side.from.size() + std::size_t(width * slice.width);
          for (std::size_t u = 0; u < alive.size(); ++u) {
            for (Index i = 0; alive[u] && i < slice.width; ++i) side.from.push_back(slice.at(Index(u), group.units()) + i);
          }
          side.from.resize(end, -1);
        }
      });
    });
    return all;
  }

 private:
  struct Kind {
    Index least = 0, most = 0, full = 0;
    std::vector<Index> layers;
  };
  std::map<std::string, Kind> kinds_;
  bool masked_ = false, apart_ = false;
};

}  // namespace espalier::inline v0
