// SPDX-License-Identifier: MIT
#include "arm.hpp"

#include <algorithm>

#include "checks.hpp"
#include "granularity.hpp"
#include "joined.hpp"
#include "numbers.hpp"
#include "options_table.hpp"
#include "requests.hpp"
#include "trouble.hpp"

namespace espalier::tool {
namespace {

/// What an arm may say for itself: --criteria obs+update-weights,full+power=abs.
const std::vector<std::string>& options_of_an_arm() {
  static const std::vector<std::string> names{"power", "eta",     "scaled",  "input-decay", "damp",     "update-weights",
                                              "ema",   "ranking", "revival", "within",      "normalise"};
  return names;
}

}  // namespace

std::string Arm::name() const {
  return (dense() ? std::string("dense") : criterion + " at " + fixed(100 * sparsity, 0) + " %") +
         format(", seed {}", seed);
}

std::vector<Arm> arms_of(const Settings& s) {
  const std::vector<double> shares = shares_of(s);
  const std::vector<std::string> criteria = criteria_of(s);
  std::vector<Arm> arms;
  for (Index k = 0; k < s.seeds; ++k) {
    arms.push_back({"", 0, s.seed + k});
    for (const double sparsity : shares)
      for (const std::string& criterion : criteria) arms.push_back({criterion, sparsity, s.seed + k});
  }
  return arms;
}

std::vector<std::string> criteria_of(const Settings& s) {
  if (!s.criteria.empty()) return s.criteria;
  std::vector<std::string> all = find_option("criterion")->choices;
  for (std::string& criterion : all)  // as published: Sanh et al. 2020
    if (criterion == "movement") criterion += "+revival=straight_through";
  if (!s.update_weights) all.insert(std::find(all.begin(), all.end(), "obs") + 1, "obs+update-weights");  // Frantar & Alistarh 2022, and pruning by it
  std::vector<std::string> able;  // with the granularity, with what learns, and with the other settings
  for (const std::string& criterion : all) {
    Request alone;
    alone.verb = Verb::compare, alone.settings = settings_of(s, criterion);
    try {
      check_criterion(alone);
      able.push_back(criterion);
    } catch (const Trouble&) {
    }
  }
  return able.empty() ? all : able;  // what rules all of them out is for check() to say
}

std::vector<double> shares_of(const Settings& s) {
  if (const auto pattern = weight_pattern(s); pattern && pattern->kind == WeightPattern::Kind::n_of_m) return {pattern->share(0)};
  std::vector<double> shares;
  for (const std::string& text : s.sparsities) {
    const double share = read_number(*find_option("sparsities"), text, "");
    if (!(share > 0 && share < 1)) refuse(*find_option("sparsities"), text, "shares above 0 and below 1", "");
    shares.push_back(share);
  }
  return shares;
}

std::string_view name_of_criterion(std::string_view arm) { return arm.substr(0, arm.find('+')); }

Settings settings_of(const Settings& settings, const std::string& arm, std::vector<std::string>* said) {
  Settings s = settings;
  s.criterion = name_of_criterion(arm);
  for (std::size_t at = s.criterion.size(); at < arm.size();) {
    const std::size_t end = std::min(arm.find('+', at + 1), arm.size()), equals = std::min(arm.find('=', at), end);
    const std::string name = arm.substr(at + 1, equals - at - 1);
    const Option* const option = find_option(name);
    const auto& known = options_of_an_arm();
    if (option == nullptr || std::find(known.begin(), known.end(), option->name) == known.end())
      throw Trouble{Errc::usage, format("--criteria has '{}', where '{}' is no option of a criterion", arm, name), "",
                    "those are " + joined(known, ", ")};
    if (equals == end && !option->is_flag())
      throw Trouble{Errc::usage, format("--criteria has '{}', where {} has no value", arm, name), "", format("{}=VALUE", arm.substr(0, end))};
    assign(*option, s, {equals == end ? "true" : arm.substr(equals + 1, end - equals - 1)}, "--criteria " + arm);
    if (said != nullptr) said->push_back(option->name);
    at = end;
  }
  return s;
}

}  // namespace espalier::tool
