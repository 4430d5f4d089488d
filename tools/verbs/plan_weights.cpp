// SPDX-License-Identifier: MIT
// How many single weights would become zero, by projection.
#include <algorithm>
#include <espalier/adapter/frozen.hpp>
#include <espalier/backend/meta.hpp>
#include <espalier/model/load.hpp>
#include <map>
#include <set>

#include "../count_facts.hpp"
#include "../model_of.hpp"
#include "../numbers.hpp"
#include "../requests.hpp"
#include "../table.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {
namespace {

/// Projections of one name and shape.
struct Kind {
  std::string name;
  Index out, in, count;
  Index weights() const { return out * in * count; }
};

/// What is known of zeros before there are scores.
struct Foreseen {
  Index weights = 0, step = 0;  ///< zeros are within half of that of the share asked for
  bool exact = true;            ///< how many there are depends on no score
};
Foreseen foreseen(const std::vector<Kind>& kinds, const WeightPattern& pattern) {
  const bool together = pattern.within == Within::model;
  Foreseen f;
  for (const Kind& k : kinds) {
    const Index step = pattern.step(k.out, k.in);
    f.exact = f.exact && pattern.even(k.out, k.in) && (!together || f.step == 0 || f.step == step);
    f.weights += k.weights(), f.step = together ? std::max(f.step, step) : f.step + k.count * step;
  }
  return f;
}

/// Those of the blocks that are not excluded, in the order of the model.
template <class Family>
std::vector<Kind> kinds_of(const std::string& directory, const TaskRequest& task, const PrunerOptions& options) {
  const ModelFiles<typename Family::Config> files(directory);
  require_task(task, files);
  Meta<float> device;
  ModelOf<Meta<float>, Frozen, Family> model(device, files.config);
  std::map<const void*, Index> layers;
  Index count = 0;
  model.groups([&](auto group) {
    for (const auto& slice : group.slices) layers[slice.projection] = group.layer;
    count = std::max(count, group.layer + 1);
  });
  std::set<Index> excluded;
  for (const Index x : options.exclude) {
    if (x >= count || x < -count)
      throw Trouble{Errc::usage, format("layer {} is excluded, but there are {} layers", x, count), "--exclude-layers", ""};
    excluded.insert(x < 0 ? x + count : x);
  }
  std::vector<Kind> kinds;
  for_each_projection(model, [&](const std::string& path, auto& p) {
    const auto at = layers.find(&p);
    if (at == layers.end() || excluded.count(at->second) > 0) return;
    const std::string name = path.substr(path.rfind('.') + 1);
    for (Kind& k : kinds)
      if (k.name == name && k.out == p.out() && k.in == p.in()) return void(++k.count);
    kinds.push_back({name, p.out(), p.in(), 1});
  });
  if (kinds.empty()) throw Trouble{Errc::usage, "every layer is excluded: nothing is left to prune", "--exclude-layers", ""};
  return kinds;
}

}  // namespace

int plan_weights(const Request& request, const Console& console) {
  const Settings& s = request.settings;
  const WeightPattern pattern = *weight_pattern(s);
  const std::vector<Kind> kinds = with_any_family(
      s.model, task_request(s), [&](auto family) { return kinds_of<decltype(family)>(s.model, task_request(s), pruner_options(s)); });
  const Foreseen known = foreseen(kinds, pattern);
  const Index all = known.weights;

  std::vector<double> shares{0.1, 0.25, 0.5, 0.75};
  if (std::find(shares.begin(), shares.end(), s.sparsity) == shares.end()) shares.push_back(s.sparsity);
  if (pattern.kind == WeightPattern::Kind::n_of_m) shares = {pattern.share(0)};
  std::sort(shares.begin(), shares.end());
  // Over the model, scores say where zeros lie; how many they are is known.
  const bool together = pattern.within == Within::model;
  Table table;
  table.head = {"projection", "layers", "out", "in", "weights"};
  for (const double share : shares) table.head.push_back("zeros at " + printed("%.3g", share));
  json::Value projections = json::Value::array();
  std::vector<Index> zeros(shares.size());
  for (const Kind& k : kinds) {
    std::vector<std::string> row{k.name, with_commas(k.count), with_commas(k.out), with_commas(k.in), with_commas(k.weights())};
    json::Value counts = json::Value::array();
    for (std::size_t n = 0; n < shares.size(); ++n) {
      const Index leaving = k.count * pattern.leaving(k.out, k.in, shares[n]);
      zeros[n] += leaving;
      row.push_back(together ? "" : (pattern.even(k.out, k.in) ? "" : "~") + with_commas(leaving));
      counts.push_back(leaving);
    }
    table.rows.push_back(row);
    json::Value one = json::Value::object({{"projection", k.name}, {"layers", k.count}, {"out", k.out}, {"in", k.in}});
    if (!together) one.set("zeros", counts);
    projections.push_back(one);
  }
  std::vector<std::string> sum{"in all", "", "", "", with_commas(all)};
  json::Value outcomes = json::Value::array();
  for (std::size_t n = 0; n < shares.size(); ++n) {
    if (together) zeros[n] = known.exact ? WeightPattern::in_blocks(all, known.step, shares[n]) : WeightPattern::count(all, shares[n]);
    sum.push_back((known.exact ? "" : "~") + with_commas(zeros[n]));
    outcomes.push_back(json::Value::object({{"asked", shares[n]},
                                            {"zeros", zeros[n]},
                                            {"exact", known.exact},
                                            {"reached", double(zeros[n]) / double(all)},
                                            {"smallest_step", double(known.step) / double(all)}}));
  }
  table.rows.push_back(sum);
  console.result(console.json() ? json::Value::object({{"model", s.model},
                                                       {"granularity", pattern.name()},
                                                       {"within", name_of(pattern.within)},
                                                       {"weights", all},
                                                       {"projections", projections},
                                                       {"outcomes", outcomes}})
                                          .dump(2) +
                                      "\n"
                                : table.text());
  console.say(console.faint(format("counted from shapes, no weight was read; compared within a {}; smallest step of {}: {} % of {} weights{}",
                                   name_of(pattern.within), pattern.name(), fixed(100 * double(known.step) / double(all), 2), with_commas(all),
                                   known.exact ? "" : "; ~: blocks are of several sizes, and which leave is for scores to say, so that zeros "
                                                      "may be half a step more or fewer")));
  console.say("next: espalier prune " + s.model + " -d DATA -o OUT --granularity " + pattern.name());
  return 0;
}

}  // namespace espalier::tool
