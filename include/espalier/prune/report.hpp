// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <espalier/prune/select.hpp>
#include <string>

namespace espalier::inline v0 {

/// What was asked for and what is reached, counted from shapes and masks. Adapters are not counted.
struct PruneReport {
  double asked = 0;    ///< share of prunable parameters that should leave in the end
  double reached = 0;  ///< share of prunable parameters that is masked or gone
  double step = 0;     ///< the smallest step that the constraints in force allow, as such a share
  Index before = 0;    ///< parameters of the base model before any pruning
  Index after = 0;     ///< and without everything that is masked or gone
  Index prunable = 0;  ///< parameters of all units in layers that are not excluded
  Index removed = 0;   ///< of which are masked or gone
  Index step_parameters = 0;
  Index least = 0;  ///< parameters that stay whatever is asked for
};

/// `present`: parameters of the base model as its tensors are now.
inline PruneReport counted(std::vector<Candidates>& groups, Index present, const PrunerOptions& options) {
  PruneReport r;
  r.before = r.after = present;
  for (const Candidates& c : groups) {
    r.before += c.cost * c.compacted();
    r.after -= c.cost * (c.units() - c.kept());
    if (c.excluded) continue;
    r.prunable += c.cost * c.full;
    r.removed += c.cost * c.removed();
  }
  if (r.prunable > 0) r.reached = double(r.removed) / double(r.prunable);
  r.least = r.after;
  for (const Candidates& c : groups) {
    if (c.excluded) continue;
    const Pool pool{.units = c.full, .cost = c.cost, .already = c.removed(), .round = c.round};
    r.least -= c.cost * (pool.most() - c.removed());
    // One unit of one layer, or of all layers where they go together.
    Index members = 0;
    for (const Candidates& other : groups) members += !other.excluded && other.kind == c.kind;
    const bool together = options.uniform || (options.ranking == Ranking::local && options.target_parameters == 0);
    const Index step =
        c.cost * c.round * (together || (options.ranking == Ranking::global && c.round > 1) ? members : 1);
    const bool finest = options.target_parameters > 0 && !options.per_cost;
    if (r.step_parameters == 0 || (finest ? step < r.step_parameters : step > r.step_parameters))
      r.step_parameters = step;
  }
  if (r.prunable > 0) r.step = double(r.step_parameters) / double(r.prunable);
  return r;
}

/// Whether the options make sense by themselves.
inline void check(const PrunerOptions& o, double sparsity) {
  require(o.every >= 1, "pruner: every is {}, expected at least 1", o.every);
  require(o.score_every >= 1, "pruner: score_every is {}, expected at least 1", o.score_every);
  require(o.round_to >= 1, "pruner: round_to is {}, expected at least 1", o.round_to);
  require(sparsity >= 0 && sparsity < 1, "pruner: sparsity is {}, expected 0 <= sparsity < 1", sparsity);
  require(o.target_parameters >= 0, "pruner: target_parameters is {}, expected at least 0", o.target_parameters);
  require(o.target_parameters == 0 || sparsity > 0,
          "pruner: with target_parameters the schedule says which share of the target is spent, but its sparsity is 0; "
          "leave it at its default");
  require(
      !o.uniform || o.exclude.empty(),
      "pruner: uniform asks for the same shape in every layer, so no layer can be excluded ({} are); drop one of them",
      o.exclude.size());
  require(
      !o.uniform || o.ranking == Ranking::local,
      "pruner: uniform asks for the same shape in every layer, which global ranking does not give; use local ranking");
  require(!o.uniform || !o.official, "pruner: the official preset excludes layers and cannot be uniform");
  require(!o.official || (o.ranking == Ranking::local && o.target_parameters == 0 && o.round_to == 1),
          "pruner: the official preset ranks locally, by share, without rounding; drop the other option");
  require(!o.per_cost || o.ranking == Ranking::global, "pruner: per_cost needs global ranking");
  require(!o.per_cost || o.round_to == 1, "pruner: per_cost spends unit by unit, round_to {} cannot hold", o.round_to);
}

/// Whether they fit the model.
inline void check(const PrunerOptions& o, const std::vector<Candidates>& groups) {
  Index layers = 0, open = 0;
  for (const Candidates& c : groups) layers = std::max(layers, c.layer + 1), open += !c.excluded;
  for (const Index e : o.exclude)
    require(e < layers && e >= -layers, "pruner: layer {} is excluded, but there are {} layers", e, layers);
  require(open > 0, "pruner: nothing is left to prune: all {} groups are excluded", groups.size());
  if (!o.uniform) return;
  for (const Candidates& a : groups)
    for (const Candidates& b : groups)
      require(a.kind != b.kind || (a.full == b.full && a.kept() == b.kept()),
              "pruner: uniform asks for the same shape in every layer, but layer {} has {} {} and layer {} has {}",
              a.layer, a.kept(), a.kind, b.layer, b.kept());
}

/// f(name, value) for every option.
template <class F>
void tell(const PrunerOptions& o, F&& f) {
  f("every", format("{}", o.every));
  f("ranking", o.ranking == Ranking::local ? "local" : "global");
  f("revival", o.revival == Revival::none ? "none" : o.revival == Revival::ema ? "ema" : "straight_through");
  f("round_to", format("{}", o.round_to));
  std::string layers;
  for (const Index e : o.exclude) layers += (layers.empty() ? "" : ",") + std::to_string(e);
  f("exclude", layers);
  f("normalise", o.normalise == Normalise::alive ? "alive" : o.normalise == Normalise::all ? "all"
                 : o.normalise == Normalise::none ? "none" : "automatic");
  f("heads", format("{}", o.heads));
  f("channels", format("{}", o.channels));
  f("target_parameters", format("{}", o.target_parameters));
  f("uniform", format("{}", o.uniform));
  f("official", format("{}", o.official));
  f("score_every", format("{}", o.score_every));
  f("per_cost", format("{}", o.per_cost));
}

}  // namespace espalier::inline v0
