// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/visit.hpp>
#include <espalier/kernel/gather.hpp>
#include <espalier/nn/group.hpp>
#include <espalier/prune/importance.hpp>
#include <espalier/prune/plan.hpp>
#include <utility>
#include <vector>

namespace espalier::inline v0 {
namespace detail {

/// Rows or columns that stay, on the host and on the device: those of `units`, of `full` in all.
template <Backend Device>
struct Kept {
  template <class Slices>
  Kept(Device& device, const std::vector<int>& units, Index full, const Slices& slices) {
    std::vector<int> all;
    for (const auto& slice : slices)
      for (const int u : units)
        for (Index j = 0; j < slice.width; ++j) all.push_back(int(slice.at(u, full) + j));
    n = Index(all.size()), list = Buffer(device, n);
    device.upload(list.data(), all.data(), n);
  }
  using Buffer = typename Device::template Buffer<int>;
  Index n = 0;
  Buffer list;
};

/// tensor ← its kept rows or columns.
template <Backend Device, class T>
void keep_only(Device& device, Tensor<Device, T, 2>& tensor, const Kept<Device>& kept, Axis axis) {
  const bool rows = axis == Axis::rows;
  Tensor<Device, T, 2> smaller(device, rows ? kept.n : tensor.shape(0), rows ? tensor.shape(1) : kept.n);
  device.for_each_row(smaller.shape(0),
                      kernel::Gather<T>{std::as_const(tensor).view(), rows ? kept.list.data() : nullptr,
                                        rows ? nullptr : kept.list.data(), smaller.view()});
  tensor = std::move(smaller);
}
template <Backend Device, class T>
void keep_only(Device& device, Tensor<Device, T, 1>& tensor, const Kept<Device>& kept) {
  Tensor<Device, T, 1> smaller(device, kept.n);
  const View<const T, 1> old = std::as_const(tensor).view();
  device.for_each_row(1, kernel::Gather<T>{matrix(old.data, 1, old.shape[0]), nullptr, kept.list.data(),
                                           matrix(smaller.view().data, 1, kept.n)});
  tensor = std::move(smaller);
}

template <Backend Device, class T>
void keep_channels(Device& device, Tensor<Device, T, 1>& vector, const Kept<Device>& kept) {
  keep_only(device, vector, kept);
}
template <Backend Device, class T>
void keep_channels(Device& device, Tensor<Device, T, 2>& matrix, const Kept<Device>& kept) {
  keep_only(device, matrix, kept, Axis::columns);
}

// Only some models lose layers or hidden channels. Not asked in place: nvcc does not ask inside a generic lambda.
template <class Model>
void keep_layers(Model& model, const std::vector<int>& layers) {
  if constexpr (requires { model.keep_layers(layers); }) model.keep_layers(layers);
}
template <class Model, Backend Device>
void keep_hidden(Model& model, const Kept<Device>& kept) {
  if constexpr (requires { model.hidden_left(); }) {
    model.residual([&](auto& tensor) { keep_channels(*model.run.device, tensor, kept); });
    model.hidden_left();
  }
}

}  // namespace detail

/// Masked units leave for good: from weights, biases, adapters, gradients and moments. The masked and the compacted
/// model compute the same function. Selection is the host's, so that this works on shapes alone, too.
template <class Model>
void compact(Model& model) {
  using Device = typename Model::DeviceType;
  using Kept = detail::Kept<Device>;
  Device& device = *model.run.device;
  struct Cut {
    Parameter<Device>* parameter;
    const int *rows, *columns;
  };
  std::vector<Cut> cuts;
  std::vector<Kept> lists;  // moving one keeps its memory where it is
  std::vector<UnitMask<Device>*> masks;

  model.groups([&](auto group) {
    if (!group.mask->masked()) return;
    std::vector<int> units, origins;
    for (std::size_t u = 0; u < group.mask->alive().size(); ++u)
      if (group.mask->alive()[u]) units.push_back(int(u)), origins.push_back(group.mask->origin()[u]);
    require(!units.empty(), "compact: every unit of {} is masked; keep at least one", group.name());
    masks.push_back(group.mask);
    if (!group.inner.empty()) return detail::keep_layers(model, units);
    if (group.layer < 0) {
      lists.emplace_back(device, units, group.units(), std::vector{group.slices.front()});
      detail::keep_hidden(model, lists.back());
    }
    group.for_each_side([&](auto& p, Axis axis, const auto& slices) {
      lists.emplace_back(device, units, group.units(), slices);
      const Kept& kept = lists.back();
      detail::keep_only(device, p.weight, kept, axis);
      p.weight_mask.compact(device, axis == Axis::rows ? kept.list.data() : nullptr,
                            axis == Axis::rows ? nullptr : kept.list.data(), p.out(), p.in());
      if (axis == Axis::rows && !p.bias.empty()) detail::keep_only(device, p.bias, kept);
      if constexpr (AddsTerm<decltype(p.adapter)>) {
        auto& adapter = p.adapter;
        if (!adapter.present()) return;
        adapter.follow(axis, [&](Parameter<Device>& parameter, Axis side) {
          (side == Axis::rows ? parameter.rows : parameter.cols) = kept.n;
          const int* const list = kept.list.data();
          cuts.push_back({&parameter, side == Axis::rows ? list : nullptr, side == Axis::rows ? nullptr : list});
        });
        if (axis != adapter.kInput) return;
        // Dropout knows what it works on by its number in the uncompacted model.
        if constexpr (requires { adapter.origin; }) {
          const Kept origin(device, origins, group.mask->full(), slices);
          adapter.origin = Tensor<Device, int, 1>(device, origin.n);
          device.for_each(origin.n, kernel::Copy<int, int>{origin.list.data(), adapter.origin.view().data});
        }
      }
    });
  });

  if (masks.empty()) return;
  for_each_projection(model, [](const std::string&, auto& p) {
    p.probe = {};
    if constexpr (requires { p.adapter.outputs; }) p.adapter.outputs = {};
  });
  model.run.arena.rebuild(
      device, [&](auto&& f) { for_each_parameter(model, [&](const std::string&, auto& p) { f(p); }); },
      [&](const Parameter<Device>& p, auto old, auto fresh) {
        Cut cut{nullptr, nullptr, nullptr};
        for (const Cut& c : cuts)
          if (c.parameter == &p) cut.rows = c.rows ? c.rows : cut.rows, cut.columns = c.columns ? c.columns : cut.columns;
        using T = typename Device::Accumulate;
        device.for_each_row(fresh.rows(), kernel::Gather<T>{old, cut.rows, cut.columns, fresh});
      });
  for (auto* mask : masks) mask->compact(device);
  model.run.workspace.reset();
}

/// Masks whatever a plan does not keep. Units are known by their numbers before any compaction.
template <class Model>
void apply(Model& model, const Plan& plan) {
  for (const PlanGroup& g : plan.groups)
    for (const Granularity known : {Granularity::queries, Granularity::layers, Granularity::hidden})
      if (g.kind == name_of(known)) detail::prune_by(model, known);
  std::vector<std::uint8_t> used(plan.groups.size());
  model.groups([&](auto group) {
    auto& mask = *group.mask;
    std::vector<std::uint8_t> alive(std::size_t(mask.units()), 1);
    for (std::size_t n = 0; n < plan.groups.size(); ++n) {
      const PlanGroup& g = plan.groups[n];
      if (g.kind != group.kind || g.layer != group.layer) continue;
      require(g.full == mask.full(), "plan: {} has {} units, the model {}", group.name(), g.full, mask.full());
      used[n] = 1;
      std::vector<std::uint8_t> keeps(std::size_t(g.full));
      for (const int u : g.kept) {
        require(u >= 0 && Index(u) < g.full, "plan: {} keeps unit {} of {}", group.name(), u, g.full);
        keeps[std::size_t(u)] = 1;
      }
      for (std::size_t u = 0; u < alive.size(); ++u) alive[u] = keeps[std::size_t(mask.origin()[u])];
    }
    mask.set(*model.run.device, alive);
  });
  for (std::size_t n = 0; n < used.size(); ++n)
    require(used[n] != 0, "plan: the model has no {} in layer {}", plan.groups[n].kind, plan.groups[n].layer);
}

/// Parameters that are left of the base model once a plan has been applied and compacted: counted from the tensors.
/// Meant for a model on Meta, which it changes.
template <class Model>
Index count_after(Model& model, const Plan& plan) {
  apply(model, plan);
  compact(model);
  return count_parameters(model);
}

}  // namespace espalier::inline v0
