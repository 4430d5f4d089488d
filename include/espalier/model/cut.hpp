// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
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
  double scale = 1;  ///< of what is written
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
    if constexpr (requires { model.layer_path(); }) layer_path_ = model.layer_path();
    detail::for_each_group(model, [&](auto&& group) {
      const std::vector<Index> parts = kept_of_parts(group);
      const auto [least, most] = std::minmax_element(parts.begin(), parts.end());
      require(*least > 0, "{}: every unit{} is masked; keep at least one", group.name(), group.parts > 1 ? " of a key-value head" : "");
      const Index narrow = *least * group.parts, wide = *most * group.parts;
      if (!group.inner.empty()) stays_ = group.mask->alive(), origin_ = group.mask->origin();
      if (group.layer >= 0 && !stays(group.layer)) return;
      auto& kind = kinds_[group.kind];
      if (kind.layers.empty()) kind.least = kind.most = wide;
      kind.least = std::min(kind.least, narrow), kind.most = std::max(kind.most, wide);
      kind.parts = group.parts;
      if (narrow != wide) kind.uneven.push_back(group.layer);
      kind.layers.push_back(wide);
      kind.full = std::max(kind.full, group.mask->full());
    });
  }

  bool uniform() const {
    for (const auto& [name, kind] : kinds_)
      if (kind.least != kind.most) return false;
    return true;
  }
  Index width(const std::string& kind) const { return kinds_.at(kind).most; }
  Index full(const std::string& kind) const { return kinds_.at(kind).full; }
  bool has(const std::string& kind) const { return kinds_.count(kind) > 0; }
  /// At least as wide as that.
  void widen(const std::string& kind, Index width) {
    Kind& k = kinds_.at(kind);
    k.most = (width + k.parts - 1) / k.parts * k.parts;
  }
  /// Layers in which key-value heads keep different numbers of query heads: each of them is as wide as its widest.
  const std::vector<Index>& uneven(const std::string& kind) const { return kinds_.at(kind).uneven; }
  /// Query heads and key-value heads of layers that are as wide as the widest.
  template <class Config>
  std::pair<Index, Index> heads(const Config& c) const {
    const auto layers = written(c.layers);
    const auto first = c.layer(layers.front());
    for (const Index l : layers) {
      const auto a = first, b = c.layer(l);
      if (a.heads * b.groups != b.heads * a.groups || (has("queries") && a.groups != b.groups)) {
        fail(Errc::usage, "layers {} and {} have {} and {} query heads to {} and {} key-value heads, which one width cannot say: save "
             "with layout compact", layers.front(), l, a.heads, b.heads, a.groups, b.groups);
      }
    }
    if (has("queries")) return {width("queries"), first.groups};
    return {width("heads") * (first.heads / first.groups), width("heads")};
  }
  /// Every layer keeps its own width; nothing is padded.
  void keep_apart() { apart_ = true; }
  /// Of each layer, from the first on.
  const std::vector<Index>& layers(const std::string& kind) const { return kinds_.at(kind).layers; }

  /// Layer l of the model, which has not left yet, is written.
  bool stays(Index l) const { return stays_.empty() || stays_[std::size_t(l)] != 0; }
  /// The layers that are written, by their numbers in the model, which has `all` where they are no units.
  std::vector<Index> written(Index all) const {
    std::vector<Index> layers;
    if (!stays_.empty()) all = Index(stays_.size());
    for (Index l = 0; l < all; ++l)
      if (stays(l)) layers.push_back(l);
    return layers;
  }
  /// And by those that they had in its source. Empty: layers are no units.
  std::vector<Index> sources() const {
    std::vector<Index> layers;
    for (std::size_t l = 0; l < origin_.size(); ++l)
      if (stays_[l]) layers.push_back(Index(origin_[l]));
    return layers;
  }
  /// What a tensor is called where it is written; empty: it is not.
  std::string name(const std::string& path) const {
    if (stays_.empty() || !path.starts_with(layer_path_)) return path;
    const std::size_t end = path.find('.', layer_path_.size());
    const Index l = std::stoll(path.substr(layer_path_.size(), end - layer_path_.size()));
    if (!stays(l)) return "";
    return layer_path_ + std::to_string(std::count(stays_.begin(), stays_.begin() + l, std::uint8_t{1})) + path.substr(end);
  }

  /// Which layers stand out, in words.
  std::string differences() const {
    std::string text;
    for (const auto& [name, kind] : kinds_) {
      if (kind.least == kind.most) continue;
      text += format("{}{} of layers", text.empty() ? "" : "; ", name);
      for (std::size_t l = 0; l < kind.layers.size(); ++l) text += format("{} {}: {}", l == 0 ? "" : ",", l, kind.layers[l]);
      for (const Index l : kind.uneven) text += format(", uneven in layer {}", l);
    }
    return text;
  }

  /// By projection: what is written of it.
  template <class Model>
  std::map<const void*, TensorCut> cuts(Model& model) const {
    std::map<const void*, TensorCut> all;
    detail::for_each_group(model, [&](auto&& group) {
      const auto& alive = group.mask->alive();
      if (!group.inner.empty() || (group.layer >= 0 && !stays(group.layer))) return;
      const Index width = apart_ ? Index(std::count(alive.begin(), alive.end(), 1)) : kinds_.at(group.kind).most;
      const bool made_up = group.kind == "hidden" && width != group.mask->full();  // what has left before has its say in norms
      if (!group.mask->masked() && width == Index(alive.size()) && !made_up) return;
      std::vector<Index> units;  // −1: zeros behind those of the part
      for (Index part = 0; part < group.parts; ++part) {
        for (std::size_t u = 0; u < alive.size(); ++u)
          if (alive[u] && group.part(u) == part) units.push_back(Index(u));
        units.resize(std::size_t(width / group.parts * (part + 1)), -1);
      }
      group.for_each_side([&](auto& projection, Axis axis, const auto& slices) {
        TensorCut& cut = all[&projection];
        CutSide& side = axis == Axis::rows ? cut.rows : cut.columns;
        side.whole = false;
        for (const auto& slice : slices)
          for (const Index u : units)
            for (Index i = 0; i < slice.width; ++i) side.from.push_back(u < 0 ? -1 : slice.at(u, group.units()) + i);
      });
      for (const Share& share : group.shares) {
        TensorCut& cut = all[share.tensor];
        CutSide& side = share.axis == Axis::rows ? cut.rows : cut.columns;
        side.whole = false, side.from = units;
        if (share.axis == Axis::rows) cut.scale = std::sqrt(double(group.mask->full()) / double(width));  // gains, see RmsNorm
      }
    });
    return all;
  }

 private:
  struct Kind {
    Index least = 0, most = 0, full = 0, parts = 1;
    std::vector<Index> layers, uneven;
  };
  template <class Group>
  static std::vector<Index> kept_of_parts(const Group& group) {
    std::vector<Index> kept(std::size_t(group.parts));
    for (std::size_t u = 0; u < group.mask->alive().size(); ++u)
      if (group.mask->alive()[u]) ++kept[std::size_t(group.part(u))];
    return kept;
  }
  std::map<std::string, Kind> kinds_;
  std::vector<std::uint8_t> stays_;  // (layers) where these are units
  std::vector<int> origin_;
  std::string layer_path_;
  bool apart_ = false;
};

}  // namespace espalier::inline v0
