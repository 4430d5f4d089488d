// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/save.hpp>
#include <espalier/prune/budget.hpp>

namespace espalier::inline v0 {

/// How wide the layers are in the directory that save() will write. A stock class has one width for all of them: that of
/// the widest, and more where its configuration cannot say that one; layout compact lets each layer be as it is. alike: all layers will have kept the same number.
template <class Model>
Widths stored_widths(Model& model, Layout layout, bool alike) {
  using Stored = StoredModel<typename Model::Config>;
  if (layout == Layout::compact) return {};
  const CutPlan now(model);
  std::map<std::string, Index> full;
  model.groups([&](auto&& group) { full[group.kind] = std::max(full[group.kind], group.mask->full()); });
  Widths widths;
  for (const auto& [kind, units] : full) {
    auto& stored = widths[kind];
    stored.push_back(0);
    if (kind == "layers" || kind == "hidden") {  // one of all
      for (Index n = 1; n <= units; ++n) stored.push_back(n);
      continue;
    }
    for (Index n = 1; n <= units; ++n) {
      CutPlan cut = now;
      cut.widen(kind, n);
      auto config = model.config;
      const bool as_is = Stored::sayable(config, cut) && (layout == Layout::uniform || (layout == Layout::automatic && alike));
      Stored::narrow(config, cut, as_is ? Layout::uniform : Layout::padded);
      stored.push_back(cut.width(kind));
    }
  }
  return widths;
}

/// What each number of the directory takes: `dtype`, or as its tensor was loaded.
template <class Model>
ByteBudget stored_bytes(Model& model, const ModelSource& source, std::optional<Dtype> dtype = {}) {
  ByteBudget budget;
  for_each_stored(model, [&](const std::string& name, auto&) {
    const Dtype stored = dtype ? *dtype : source.dtype_of(detail::first_name(model, name)).value_or(dtype_of<typename Model::W>);
    budget.bytes[name] = double(bits_of(stored)) / 8;
  });
  return budget;
}

}  // namespace espalier::inline v0
