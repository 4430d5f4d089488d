// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/visit.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/train/observer.hpp>

namespace espalier::inline v0 {

/// What a model takes up now, counted from its tensors.
template <class Model>
Footprint footprint(Model& model) {
  using A = typename Model::DeviceType::Accumulate;
  Footprint f;
  for_each_tensor(model, [&](const std::string&, auto& t) {
    f.parameters += t.size();
    f.bytes += t.size() * Index(sizeof(typename std::remove_cvref_t<decltype(t)>::Element));
  });
  f.trained = count_trainable(model);
  f.bytes += model.run.arena.size() * (2 + model.run.arena.moments()) * Index(sizeof(A));
  return f;
}

namespace detail {

/// Whoever keeps something per unit follows those that are left.
template <class Pruner>
void follow(Pruner& pruner) {
  if constexpr (requires { pruner.follow(); }) pruner.follow();
}
/// Whoever chooses units says whether they may leave for good.
template <class Pruner>
void require_final(const Pruner& pruner) {
  if constexpr (requires { pruner.require_final(); }) pruner.require_final();
}

}  // namespace detail
}  // namespace espalier::inline v0
