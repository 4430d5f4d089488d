// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/core/tensor.hpp>
#include <espalier/nn/linear.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// What leaves the network as one. Models say which of these they know.
enum class Granularity {
  groups,   ///< attention heads, with grouped queries key-value heads and all their queries; feed-forward channels
  queries,  ///< query heads, each key-value head keeping some of its own; feed-forward channels
  layers,   ///< whole blocks
  hidden,   ///< channels of the residual stream, through the whole model
};
constexpr const char* name_of(Granularity g) {
  constexpr const char* names[] = {"groups", "queries", "layers", "hidden"};
  return names[int(g)];
}

/// One bit a unit: 1 keeps it, 0 removes what it computes. Hosts decide, devices multiply.
template <Backend Device>
class UnitMask {
 public:
  using A = typename Device::Accumulate;

  UnitMask() = default;
  UnitMask(Device& device, Index units)
      : full_(units), origin_(std::size_t(units)), alive_(std::size_t(units), 1), forward_(device, units),
        backward_(device, units), there_(device, units) {
    for (std::size_t u = 0; u < origin_.size(); ++u) origin_[u] = int(u);
    device.upload(there_.view().data, origin_.data(), units);
    upload(device);
  }

  Index units() const { return Index(alive_.size()); }
  Index full() const { return full_; }                              ///< units before any compaction
  const std::vector<int>& origin() const { return origin_; }        ///< of each unit: its number before any compaction
  const std::vector<std::uint8_t>& alive() const { return alive_; }  ///< 1: kept
  bool masked() const {
    for (auto a : alive_)
      if (!a) return true;
    return false;
  }
  bool straight_through() const { return straight_through_; }  ///< backward does not see the mask
  const int* origin_there() const { return there_.view().data; }  ///< origin(), on the device
  View<const A, 1> forward() const { return forward_.view(); }
  View<const A, 1> backward() const { return backward_.view(); }
  /// For a projection that owns `width` outputs of each unit.
  OutputMask<A> outputs(Index width) const { return {forward(), backward(), width}; }

  /// straight_through: backward does not see the mask, so that a removed unit can earn its way back.
  void set(Device& device, const std::vector<std::uint8_t>& alive, bool straight_through = false) {
    require(Index(alive.size()) == units(), "mask: {} bits for {} units", alive.size(), units());
    alive_ = alive, straight_through_ = straight_through;
    upload(device);
  }
  /// Removed units are gone: what is left is all alive.
  void compact(Device& device) {
    std::vector<int> kept;
    for (std::size_t u = 0; u < alive_.size(); ++u)
      if (alive_[u]) kept.push_back(origin_[u]);
    const Index full = full_;
    *this = UnitMask(device, Index(kept.size()));
    restore(device, full, std::move(kept));
  }
  /// A compacted model read back: origins of units that are all alive.
  void restore(Device& device, Index full, std::vector<int> origin) {
    require(Index(origin.size()) == units(), "mask: {} origins for {} units", origin.size(), units());
    full_ = full, origin_ = std::move(origin);
    device.upload(there_.view().data, origin_.data(), units());
  }

 private:
  void upload(Device& device) {
    std::vector<A> bits(alive_.size());
    for (std::size_t u = 0; u < bits.size(); ++u) bits[u] = A(alive_[u] ? 1.0f : 0.0f);
    device.upload(forward_.view().data, bits.data(), units());
    if (straight_through_) bits.assign(bits.size(), A(1.0f));
    device.upload(backward_.view().data, bits.data(), units());
  }

  Index full_ = 0;
  std::vector<int> origin_;
  std::vector<std::uint8_t> alive_;
  bool straight_through_ = false;
  Tensor<Device, A, 1> forward_, backward_;  // (units)
  Tensor<Device, int, 1> there_;             // (units)
};

/// `width` consecutive rows or columns of one projection belong to each unit. A fused projection has several parts, one
/// behind the other, each in the order of the units.
template <class Projection>
struct Slice {
  Projection* projection;
  Axis axis;
  Index width;
  Index before = 0;  ///< rows or columns per unit in the parts before this one

  /// Where unit u of `units` begins.
  Index at(Index u, Index units) const { return before * units + u * width; }

  /// Numbers that leave with one unit: weights, and the bias of rows.
  Index cost() const {
    const auto& p = *projection;
    return axis == Axis::rows ? width * (p.in() + (p.bias.empty() ? 0 : 1)) : width * p.out();
  }
};

/// What leaves with a unit and is no projection's: a norm, or a column of the embedding.
struct Share {
  const void* tensor;
  Axis axis;       ///< rows of a vector, columns of a matrix
  Index numbers;  ///< that leave with one unit
};

/// Units that leave the network together: a head owns rows of q, k, v and columns of o.
template <Backend Device, class Projection>
struct Group {
  std::string kind;  ///< "heads", "queries", "channels", "layers", "hidden": what is ranked together
  Index layer;       ///< −1: units of the whole model
  UnitMask<Device>* mask;
  std::vector<Slice<Projection>> slices;
  std::vector<Group> inner = {};   ///< where units are layers: all that each of them has
  std::vector<Share> shares = {};
  Index parts = 1;  ///< each keeps at least one of its units: the query heads of a key-value head

  /// To which part a unit belongs.
  Index part(std::size_t u) const { return Index(mask->origin()[u]) * parts / mask->full(); }
  Index units() const { return mask->units(); }
  /// Numbers of the base model that leave with one unit.
  Index cost() const {
    Index n = 0;
    for (const auto& s : slices) n += s.cost();
    for (const Share& s : shares) n += s.numbers;
    each_inner([&](const Group& g) { n += g.units() * g.cost(); });
    return n;
  }
  /// f(group) for those of one layer: layers that leave as one are alike.
  template <class F>
  void each_inner(F&& f) const {
    for (const Group& g : inner)
      if (g.layer == inner.front().layer) f(g);
  }
  std::string name() const { return layer < 0 ? kind : "layer " + std::to_string(layer) + " " + kind; }

  /// f(projection, axis, slices) for every side of a projection that units own between them.
  template <class F>
  void for_each_side(F&& f) const {
    for (std::size_t i = 0; i < slices.size(); ++i) {
      const auto same = [&](const Slice<Projection>& s) {
        return s.projection == slices[i].projection && s.axis == slices[i].axis;
      };
      std::vector<Slice<Projection>> here;
      bool first = true;
      for (std::size_t j = 0; j < slices.size(); ++j) {
        if (!same(slices[j])) continue;
        first = first && j >= i;
        here.push_back(slices[j]);
      }
      if (!first) continue;
      std::sort(here.begin(), here.end(), [](const auto& a, const auto& b) { return a.before < b.before; });
      f(*slices[i].projection, slices[i].axis, std::as_const(here));
    }
  }
};

namespace detail {
struct AnyTensor {
  template <class X>
  void operator()(X&) const {}
};
/// Tells a model by what it is pruned, if it knows more than one thing.
template <class Model>
void prune_by(Model& model, Granularity granularity) {
  if constexpr (requires { model.prune_by(granularity); })
    model.prune_by(granularity);
  else
    require(granularity == Granularity::groups, "granularity {}: this kind of model is pruned by granularity groups only",
            name_of(granularity));
}
/// f(group) for all groups of the blocks too, where units of the whole model leave.
template <class Model, class F>
void for_each_group(Model& model, F&& f) {
  bool whole = false;
  model.groups([&](auto&& group) { whole = whole || group.layer < 0, f(group); });
  if constexpr (requires { model.inner_groups(f); })
    if (whole) model.inner_groups([&](auto&& group) { f(group); });
}
/// What the source of a model calls a tensor: layers may have left since.
template <class Model>
std::string first_name(const Model& model, const std::string& path) {
  if constexpr (requires { model.first_name(path); }) return model.first_name(path);
  else return path;
}
}  // namespace detail

/// The mask on the outputs of every projection that has one, by its address.
template <class Model>
auto output_masks(Model& model) {
  std::map<const void*, OutputMask<typename Model::DeviceType::Accumulate>> masks;
  model.groups([&](auto&& group) {
    group.for_each_side([&](auto& projection, Axis axis, const auto& slices) {
      if (axis == Axis::rows) masks[&projection] = group.mask->outputs(slices.front().width);
    });
  });
  return masks;
}

}  // namespace espalier::inline v0
