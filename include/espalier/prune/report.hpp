// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <espalier/prune/select.hpp>
#include <string>

namespace espalier::inline v0 {

/// What was asked for and what is reached, counted from shapes and masks. Adapters are not counted.
struct PruneReport {
  double asked = 0;    ///< share of the prunable part that should leave in the end, of what the target counts
  double reached = 0;  ///< share of prunable parameters that is masked or gone
  double step = 0;     ///< the smallest step that the constraints in force allow, as a share like `asked`
  Index before = 0;    ///< parameters of the base model before any pruning
  Index after = 0;     ///< and without everything that is masked or gone
  Index prunable = 0;  ///< parameters of all units in layers that are not excluded
  Index removed = 0;   ///< of which are masked or gone

  /// In what the target counts: parameters, MACs per token or bytes, of the model as the target says it is stored.
  std::string counts = ParameterBudget::kName;
  double dense = 0;          ///< before any pruning
  double least = 0;          ///< what stays whatever is asked for
  double target = 0;         ///< what should be left in the end
  double left = 0;           ///< what is left now
  double smallest_step = 0;  ///< how near the target the constraints in force allow to end
};

/// What the constraints allow, before anything is trained.
struct Range {
  double dense = 0, least = 0, step = 0;
  double prunable = 0;  ///< of the budget, in groups that are not excluded
};

/// `present`: what the budget counts of the model as its tensors are now.
inline Range range_of(std::vector<Candidates>& groups, double present, bool by_budget, const PrunerOptions& o) {
  std::vector<std::size_t> all(groups.size());
  std::vector<Index> kept(groups.size());
  Range r{.dense = present};
  for (std::size_t g = 0; g < groups.size(); ++g) {
    all[g] = g, kept[g] = groups[g].full;
    r.dense += groups[g].price * double(groups[g].compacted());
    if (!groups[g].excluded) r.prunable += groups[g].price * double(groups[g].full);
  }
  r.dense -= spent_in(groups, all, kept, o.target.widths);  // layers that are filled up even before
  const Selection selection(groups, o);
  r.least = r.dense - selection.most();
  r.step = o.per_cost || !by_budget ? Selection::step_of_shares(selection.tracks(), o) : smallest_step(selection.tracks());
  return r;
}

/// What is left by the masks as they are.
inline double left_in(const std::vector<Candidates>& groups, const Range& range, const PrunerOptions& o) {
  std::vector<std::size_t> all(groups.size());
  std::vector<Index> kept(groups.size());
  for (std::size_t g = 0; g < groups.size(); ++g) all[g] = g, kept[g] = groups[g].kept();
  return range.dense - spent_in(groups, all, kept, o.target.widths);
}

/// The parts of a report that are about parameters. `present`: of the base model as its tensors are now.
inline PruneReport counted(const std::vector<Candidates>& groups, Index present) {
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
  return r;
}

/// A number of a budget in words: whole numbers as such.
inline std::string amount_text(double x) { return format("{}", Index(std::llround(x))); }

}  // namespace espalier::inline v0
