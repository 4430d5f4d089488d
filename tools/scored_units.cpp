// SPDX-License-Identifier: MIT
#include "scored_units.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "numbers.hpp"
#include "statistics.hpp"

namespace espalier::tool {
namespace {

std::string layer_text(const PlanGroup& g) { return g.layer < 0 ? "all" : std::to_string(g.layer); }

const Plan* first_plan(const Scored& s) {
  for (const auto& p : s.plans)
    if (p) return &*p;
  return nullptr;
}

std::string numbers_text(const std::vector<int>& kept) {
  std::string out;
  for (std::size_t i = 0; i < kept.size() && i < 12; ++i) out += (i > 0 ? " " : "") + std::to_string(kept[i]);
  return kept.size() > 12 ? out + " ..." : out;
}

}  // namespace

Table scores_table(const Scored& scored, const std::vector<double>& shares) {
  Table table;
  table.head = {"layer", "kind", "units", "lowest score", "median", "highest"};
  for (const double share : shares) table.head.push_back("leave at " + printed("%.3g", share));
  const Plan* const any = first_plan(scored);
  for (std::size_t g = 0; any != nullptr && g < any->groups.size(); ++g) {
    const PlanGroup& group = any->groups[g];
    const auto [low, high] = std::minmax_element(group.scores.begin(), group.scores.end());
    table.rows.push_back({layer_text(group), group.kind, with_commas(group.full), printed("%.3g", *low), printed("%.3g", median(group.scores)),
                          printed("%.3g", *high)});
    for (const auto& plan : scored.plans)
      table.rows.back().push_back(plan ? with_commas(group.full - Index(plan->groups[g].kept.size())) : "out of reach");
  }
  return table;
}

Table units_table(const Scored& scored, const std::vector<double>& shares) {
  Table table;
  table.head = {"layer", "kind", "unit", "score", "leaves at"};
  const Plan* const any = first_plan(scored);
  for (std::size_t g = 0; any != nullptr && g < any->groups.size(); ++g) {
    const PlanGroup& group = any->groups[g];
    for (Index u = 0; u < group.full; ++u) {
      std::string leaves;
      for (std::size_t k = 0; k < shares.size() && leaves.empty(); ++k)
        if (scored.plans[k] && !std::binary_search(scored.plans[k]->groups[g].kept.begin(), scored.plans[k]->groups[g].kept.end(), int(u)))
          leaves = printed("%.3g", shares[k]);
      table.rows.push_back({layer_text(group), group.kind, std::to_string(u), printed("%.4g", group.scores[std::size_t(u)]), leaves});
    }
  }
  return table;
}

Table kept_table(const Plan& plan) {
  Table table;
  table.left = true;
  table.head = {"layer", "kind", "kept", "of", "units that stay"};
  for (const PlanGroup& g : plan.groups)
    table.rows.push_back({layer_text(g), g.kind, std::to_string(g.kept.size()), std::to_string(g.full), numbers_text(g.kept)});
  return table;
}

json::Value plan_json(const Plan& plan, bool scores) {
  json::Value all = json::Value::array();
  for (const PlanGroup& g : plan.groups) {
    json::Value group = json::Value::object({{"kind", g.kind}, {"layer", g.layer}, {"full", g.full}, {"kept", g.kept}});
    if (scores) {
      json::Value numbers = json::Value::array();
      for (const double x : g.scores) numbers.push_back(std::isfinite(x) ? json::Value(x) : json::Value());
      group.set("scores", numbers);
    }
    all.push_back(group);
  }
  return all;
}

}  // namespace espalier::tool
