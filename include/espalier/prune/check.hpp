// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/report.hpp>

namespace espalier::inline v0 {

/// Whether the options make sense by themselves.
inline void check(const PrunerOptions& o, double sparsity) {
  require(o.every >= 1, "pruner: every is {}, expected at least 1", o.every);
  require(o.score_every >= 1, "pruner: score_every is {}, expected at least 1", o.score_every);
  require(o.round_to >= 1, "pruner: round_to is {}, expected at least 1", o.round_to);
  require(sparsity >= 0 && sparsity < 1, "pruner: sparsity is {}, expected 0 <= sparsity < 1", sparsity);
  require(o.min_heads >= 1 && o.min_channels >= 1, "pruner: min_heads is {} and min_channels {}, expected at least 1",
          o.min_heads, o.min_channels);
  require(o.layer_floor >= 0 && o.layer_floor <= 1, "pruner: layer_floor is {}, expected a share between 0 and 1",
          o.layer_floor);
  const bool target = o.target.left != 0, share_of_all = o.of == SparsityOf::all;
  require(o.target.left >= 0, "pruner: the target is {} {}, expected at least 0", o.target.left, name_of(o.target.budget));
  require(!target || sparsity > 0,
          "pruner: with a target the schedule says which share of the way is gone, but its sparsity is 0; "
          "leave it at its default");
  require(!target || !share_of_all, "pruner: a target in {} and a share of all parameters both say how much should leave; "
          "drop one of them", name_of(o.target.budget));
  require(target || std::holds_alternative<ParameterBudget>(o.target.budget),
          "pruner: a sparsity is a share of parameters, but the target counts {}; say how many should be left",
          name_of(o.target.budget));
  require(
      !o.uniform || o.exclude.empty() || o.granularity == Granularity::layers,
      "pruner: uniform asks for the same shape in every layer, so no layer can be excluded ({} are); drop one of them",
      o.exclude.size());
  require(
      !o.uniform || o.ranking == Ranking::local,
      "pruner: uniform asks for the same shape in every layer, which global ranking does not give; use local ranking");
  require(o.even || (!o.uniform && o.target.widths.empty()),
          "pruner: key-value heads may keep different numbers of query heads, so that {}; let them stay even",
          o.uniform ? "layers will not be uniform" : "how wide a file will be is not known from how many leave");
  require(!o.uniform || !o.official, "pruner: the official preset excludes layers and cannot be uniform");
  require(!o.official || (o.ranking == Ranking::local && !target && !share_of_all && o.round_to == 1 && o.min_heads == 1 &&
                          o.min_channels == 1 && o.layer_floor == 0),
          "pruner: the official preset ranks locally, by share of the prunable parameters, without rounding or floors; "
          "drop the other option");
  require(o.granularity != Granularity::hidden || o.exclude.empty(),
          "pruner: channels of the residual stream run through all layers, so that none can be excluded; drop exclude");
  require(o.granularity != Granularity::layers || o.normalise == Normalise::automatic || o.normalise == Normalise::none,
          "pruner: a layer's score is the sum of those of its heads and channels, which normalised within the layer would say "
          "nothing of it; leave normalise away");
  require(!o.official || o.granularity == Granularity::groups,
          "pruner: the official preset prunes heads and channels, granularity groups, not {}", name_of(o.granularity));
  require(!o.per_cost || o.ranking == Ranking::global, "pruner: per_cost needs global ranking");
  require(o.target.widths.empty() || o.ranking == Ranking::local,
          "pruner: the target counts layers that are stored as wide as the widest, so that global ranking would prune the others "
          "for nothing; use local ranking, or a target without widths");
}

/// Whether they fit the model.
inline void check(const PrunerOptions& o, const std::vector<Candidates>& groups) {
  Index layers = 0, open = 0;
  for (const Candidates& c : groups) layers = std::max(layers, c.layers), open += !c.excluded;
  for (const Index e : o.exclude)
    require(e < layers && e >= -layers, "pruner: layer {} is excluded, but there are {} layers", e, layers);
  require(open > 0, "pruner: nothing is left to prune: all {} groups are excluded", groups.size());
  for (const Candidates& c : groups)
    require(c.excluded || c.least <= c.full, "pruner: {} {} should stay{}, but {} has {}", c.least, c.kind,
            c.layer < 0 ? "" : " in every layer", c.place(), c.full);
  if (!o.uniform) return;
  for (const Candidates& a : groups)
    for (const Candidates& b : groups)
      require(a.kind != b.kind || (a.full == b.full && a.kept() == b.kept()),
              "pruner: uniform asks for the same shape in every layer, but layer {} has {} {} and layer {} has {}",
              a.layer, a.kept(), a.kind, b.layer, b.kept());
}

/// Whether a target can be reached; refused before anything is trained, with what can.
inline void check_reachable(const PruneReport& r, const PrunerOptions& o) {
  if (o.official) return;  // which is known not to reach what it is asked for
  require(r.target <= r.dense + r.smallest_step / 2 && r.target >= r.least - r.smallest_step / 2,
          "pruner: a model of {} {} cannot be brought to {}: from {} to {} can be reached under these constraints{}; choose "
          "a target between, exclude fewer layers, lower the floors, or round to less",
          amount_text(r.dense), r.counts, amount_text(r.target), amount_text(r.least), amount_text(r.dense),
          o.target.widths.empty() ? "" : " (every layer is stored as wide as the widest)");
}

/// f(name, value) for every option.
template <class F>
void tell(const PrunerOptions& o, F&& f) {
  f("granularity", name_of(o.granularity));
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
  f("target", o.target.left > 0 ? amount_text(o.target.left) : "");
  f("target_counts", name_of(o.target.budget));
  f("target_stored", !o.target.widths.empty() ? "one width" : "each layer");
  f("sparsity_of", o.of == SparsityOf::all ? "all" : "prunable");
  f("min_heads", format("{}", o.min_heads));
  f("min_channels", format("{}", o.min_channels));
  f("layer_floor", format("{}", o.layer_floor));
  f("uniform", format("{}", o.uniform));
  f("even", format("{}", o.even));
  f("official", format("{}", o.official));
  f("score_every", format("{}", o.score_every));
  f("per_cost", format("{}", o.per_cost));
}

}  // namespace espalier::inline v0
