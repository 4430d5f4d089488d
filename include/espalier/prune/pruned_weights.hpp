// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/core/visit.hpp>
#include <espalier/nn/group.hpp>
#include <espalier/prune/input_statistics.hpp>
#include <espalier/prune/report.hpp>
#include <espalier/prune/weight_options.hpp>
#include <espalier/prune/weight_pattern.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// One projection whose single weights may become zero, and what a pruner keeps of it on the device.
template <class Model>
struct PrunedWeight {
  using Device = typename Model::DeviceType;
  using Projection = typename Model::Projection;
  using A = typename Device::Accumulate;

  std::string path;
  Projection* p = nullptr;
  Index number = 0;                           ///< among those that take part
  void* pruner = nullptr;                     ///< whose it is, for its probe
  Index out = 0, in = 0;
  Tensor<Device, std::uint32_t, 2> chosen{};  // (out, words)
  Tensor<Device, A, 2> sum{};                 // (out, in), where a score is a sum over steps
  Tensor<Device, A, 1> factor{};              // (in), where a score is the weight's times one of its column
  InputStatistics<Device> seen{};             // where a score reads inputs
  bool changed = false;                       ///< its weight is not what it was
  Index passes = 0;                           ///< backward passes that were watched since the last step

  /// f(name, numbers): all that a resumed run needs. weight: and what it has become, if anything.
  template <class F>
  void visit_state(Device& device, F&& f, bool weight) {
    if (!seen.empty()) seen.visit_state(device, "pruner." + path + ".inputs", f);
    if (weight) changed = exchange(device, "pruner." + path + ".weight", p->weight.view(), changed, f);
    if (!sum.empty()) exchange(device, "pruner." + path + ".scores", sum.view(), true, f);
  }

 private:
  /// No numbers where there is nothing to tell. Returns whether there was.
  template <class T, class F>
  static bool exchange(Device& device, const std::string& name, View<T, 2> at, bool told, F&& f) {
    std::vector<T> numbers(std::size_t(told ? at.size() : 0), T(0.0f));
    device.download(at.data, numbers.data(), Index(numbers.size()));
    std::vector<double> state;
    for (const T& x : numbers) state.push_back(double(widen<Wide<T>>(x)));
    f(name, state);
    if (state.empty()) return told;
    require(Index(state.size()) == at.size(), "pruner state: {} has {} numbers, expected {}: it belongs to another model", name,
            state.size(), at.size());
    numbers.clear();
    for (const double x : state) numbers.push_back(T(Wide<T>(x)));
    device.upload(at.data, numbers.data(), at.size());
    return true;
  }
};

/// Projections that are part of a block, except those of excluded layers and other names.
template <class Model>
std::vector<PrunedWeight<Model>> pruned_weights(Model& model, const WeightPrunerOptions& options, void* pruner) {
  std::map<const void*, Index> layers;
  Index count = 0;
  model.groups([&](auto group) {
    for (const auto& s : group.slices) layers[s.projection] = group.layer;
    count = std::max(count, group.layer + 1);
  });
  for (const Index x : options.exclude)
    require(x < count && x >= -count, "pruner: layer {} is excluded, but there are {} layers", x, count);
  std::vector<std::uint8_t> used(options.targets.size());
  const auto wanted = [&](const std::string& path) {
    bool any = used.empty();
    for (std::size_t n = 0; n < used.size(); ++n) {
      const std::string& name = options.targets[n];
      if (path != name && !path.ends_with("." + name)) continue;
      used[n] = 1, any = true;
    }
    return any;
  };
  std::vector<PrunedWeight<Model>> list;
  for_each_projection(model, [&](const std::string& path, auto& p) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(p)>, typename Model::Projection>) {
      const auto at = layers.find(&p);
      if (at == layers.end() || !wanted(path)) return;
      for (const Index x : options.exclude)
        if (at->second == (x < 0 ? x + count : x)) return;
      PrunedWeight<Model> w;
      w.path = path, w.p = &p, w.number = Index(list.size()), w.pruner = pruner, w.out = p.out(), w.in = p.in();
      list.push_back(std::move(w));
    }
  });
  for (std::size_t n = 0; n < used.size(); ++n)
    require(used[n] != 0, "pruner: no projection of the blocks is called {}", options.targets[n]);
  require(!list.empty(), "pruner: nothing is left to prune: no projection takes part");
  return list;
}

/// Counted from the bits. `present`: parameters of the base model as its tensors are.
template <class Model>
PruneReport counted(const std::vector<PrunedWeight<Model>>& list, const WeightPattern& pattern, Index present) {
  PruneReport r;
  r.before = present;
  for (const PrunedWeight<Model>& w : list) {
    require(w.p->out() == w.out && w.p->in() == w.in,
            "pruner: {} changed its shape; groups of units leave before single weights do, or after", w.path);
    r.prunable += w.out * w.in, r.removed += w.p->weight_mask.removed();
    const auto step = double(pattern.step(w.out, w.in));
    r.smallest_step = pattern.within == Within::model ? std::max(r.smallest_step, step) : r.smallest_step + step;
  }
  r.after = r.before - r.removed;
  r.reached = double(r.removed) / double(r.prunable), r.step = r.smallest_step / double(r.prunable);
  r.dense = double(r.before), r.least = double(r.before - r.prunable), r.left = double(r.after);
  return r;
}

}  // namespace espalier::inline v0
