// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/core/visit.hpp>
#include <espalier/prune/budget.hpp>

#include "facts.hpp"

namespace espalier::tool {

/// Counts a model on any device, one without memory included.
template <class Model>
Facts facts_of(Model& model) {
  Facts f;
  f.parameters = count_parameters(model);
  f.trainable = count_trainable(model);
  f.macs = Index(MacBudget{}.count(model));
  const auto& c = model.config;
  f.hidden = c.hidden, f.layers = c.layers;
  if constexpr (requires { c.vocab; }) f.vocab = c.vocab;
  if constexpr (requires { c.max_positions; }) f.max_positions = c.max_positions;
  model.groups([&](auto&& g) {
    const auto& mask = *g.mask;
    KeptUnits units{mask.full(), {}};
    for (std::size_t u = 0; u < mask.alive().size(); ++u)
      if (mask.alive()[u] != 0) units.kept.push_back(mask.origin()[u]);
    f.groups.push_back({g.kind, g.layer, mask.full(), Index(units.kept.size()), g.cost()});
    const auto picture = [&](const std::string& kind, const KeptUnits& kept) {
      (kind == "heads" || kind == "queries" ? f.pictured.back().heads : f.pictured.back().channels) = kept;
    };
    if (!g.inner.empty()) {  // of a layer all is there, or nothing
      for (Index l = 0; l < mask.full(); ++l) {
        f.pictured.push_back({l, {}, {}});
        g.each_inner([&](const auto& inner) {
          KeptUnits all{inner.units(), {}};
          if (std::binary_search(units.kept.begin(), units.kept.end(), int(l)))
            for (Index u = 0; u < inner.units(); ++u) all.kept.push_back(int(u));
          picture(inner.kind, all);
        });
      }
      return;
    }
    if (f.pictured.empty() || f.pictured.back().layer != g.layer) f.pictured.push_back({g.layer, {}, {}});
    picture(g.kind, units);
  });
  return f;
}

}  // namespace espalier::tool
