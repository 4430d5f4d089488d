// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/visit.hpp>
#include <espalier/nn/group.hpp>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// What leaves a stem and its head as one, and the mask where that is a whole layer or a channel of the residual stream.
template <Backend Device, class Stem>
class StemUnits {
 public:
  using A = typename Device::Accumulate;
  using Head = Tensor<Device, typename Device::Weight, 2>;
  using Block = typename Stem::Block;
  using Projection = typename Block::Projection;

  Granularity granularity() const { return granularity_; }
  bool by_layer() const { return granularity_ == Granularity::layers; }
  bool by_hidden() const { return granularity_ == Granularity::hidden; }

  void prune_by(Device& device, Stem& stem, Head& head, Granularity granularity) {
    if (granularity == granularity_) return;
    groups(stem, head, [&](auto&& group) {
      require(!group.mask->masked() && group.units() == group.mask->full(),
              "granularity {}: {} have left already by granularity {}; save the model and load it again to go on by another one",
              name_of(granularity), group.name(), name_of(granularity_));
    });
    if (granularity == Granularity::layers) require_alike(stem);
    require(granularity != Granularity::hidden || kHidden,
            "granularity hidden: LayerNorm takes away the mean over all channels, so that the model without some of them is "
            "another function than the one in which they are zero; models with RMSNorm can do it (llama, mistral, qwen2, qwen3)");
    for (Block& block : stem.layers) block.prune_by(device, granularity);
    granularity_ = granularity;
    mask_ = by_layer()    ? UnitMask<Device>(device, Index(stem.layers.size()))
            : by_hidden() ? UnitMask<Device>(device, stem.table().shape(1))
                          : UnitMask<Device>();
  }

  /// Heads and channels, block by block.
  template <class F>
  static void inner_groups(Stem& stem, F&& f) {
    for (std::size_t l = 0; l < stem.layers.size(); ++l) stem.layers[l].groups(Index(l), f);
  }
  template <class F>
  void groups(Stem& stem, Head& head, F&& f) {
    if (by_layer()) return f(layers(stem));
    if constexpr (kHidden)
      if (by_hidden()) return f(hidden(stem, head));
    inner_groups(stem, f);
  }
  /// f(tensor) for what is as wide as the residual stream and no projection's.
  template <class F>
  static void residual(Stem& stem, Head& head, F&& f) {
    if constexpr (kHidden) stem.residual(f);
    if (!head.empty()) f(head);
  }

  /// Some layers have left; these stay, by their numbers.
  static void keep_layers(Stem& stem, const std::vector<int>& kept) {
    std::vector<Block> stay;
    stay.reserve(kept.size());
    for (const int l : kept) stay.push_back(std::move(stem.layers[std::size_t(l)]));
    stem.layers = std::move(stay);
  }
  /// Channels of the residual stream have left; norms go on as if they were there and zero.
  void hidden_left(Stem& stem) {
    if constexpr (kHidden) {
      stem.norm.over = mask_.full();
      for (Block& block : stem.layers) block.norms([&](auto& norm) { norm.over = mask_.full(); });
    }
  }

  /// What masks the branches of a layer.
  OutputMask<A> residual_of(std::size_t l, Index width) const {
    if (by_hidden()) return mask_.outputs(1);
    if (!by_layer()) return {};
    const auto one = [&](View<const A, 1> bits) { return vector(bits.data + l, 1); };
    return {one(mask_.forward()), one(mask_.backward()), width};
  }
  /// And what comes out of the embedding.
  OutputMask<A> embedded() const { return by_hidden() ? mask_.outputs(1) : OutputMask<A>{}; }

  static std::string layer_path() { return std::string(Stem::kName) + "." + Stem::kLayers + "."; }
  /// What the model that this one began as calls a tensor: layers may have left since.
  std::string first_name(const std::string& path) const {
    const std::string before = layer_path();
    if (!by_layer() || !path.starts_with(before)) return path;
    const std::size_t end = path.find('.', before.size());
    const auto l = std::size_t(std::stoll(path.substr(before.size(), end - before.size())));
    return before + std::to_string(mask_.origin()[l]) + path.substr(end);
  }

 private:
  using Units = Group<Device, Projection>;
  static constexpr bool kHidden = requires(Stem& stem, detail::AnyTensor f) { stem.residual(f); };

  Units layers(Stem& stem) {
    Units group{"layers", -1, &mask_, {}};
    std::set<const void*> owned;  // by heads and channels
    inner_groups(stem, [&](auto&& inner) {
      for (const auto& s : inner.slices) {
        owned.insert(&s.projection->weight);
        if (s.axis == Axis::rows) owned.insert(&s.projection->bias);
      }
      group.inner.push_back(inner);
    });
    for_each_tensor(stem.layers.front(), [&](const std::string&, auto& tensor) {
      if (owned.count(&tensor) == 0) group.shares.push_back({&tensor, Axis::rows, tensor.size()});
    });
    return group;
  }
  Units hidden(Stem& stem, Head& head) {
    Units group{"hidden", -1, &mask_, {}};
    for (Block& block : stem.layers)
      for (const auto& slices : {block.self_attn.residual(), block.mlp.residual()})
        group.slices.insert(group.slices.end(), slices.begin(), slices.end());
    residual(stem, head, [&](auto& tensor) {
      if constexpr (std::extent_v<decltype(tensor.view().shape)> == 2)
        group.shares.push_back({&tensor, Axis::columns, tensor.shape(0)});
      else
        group.shares.push_back({&tensor, Axis::rows, 1});
    });
    return group;
  }
  static void require_alike(Stem& stem) {
    std::vector<Index> numbers;
    for (Block& block : stem.layers) numbers.push_back(count_parameters(block));
    for (std::size_t l = 1; l < numbers.size(); ++l)
      require(numbers[l] == numbers[0],
              "granularity layers: layer 0 has {} parameters and layer {} has {}; layers that leave as one are alike",
              numbers[0], l, numbers[l]);
    require(numbers.size() > 1, "granularity layers: there is one layer, which stays");
  }

  Granularity granularity_ = Granularity::groups;
  UnitMask<Device> mask_;  // layers, or channels of the residual stream, where these are the units
};

}  // namespace espalier::inline v0
