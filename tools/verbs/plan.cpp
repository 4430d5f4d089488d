// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <espalier/adapter/frozen.hpp>
#include <espalier/backend/meta.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/stored_budget.hpp>
#include <optional>

#include "../count_facts.hpp"
#include "../granularity.hpp"
#include "../model_of.hpp"
#include "../numbers.hpp"
#include "../planned.hpp"
#include "../requests.hpp"
#include "../scored_units.hpp"
#include "../table.hpp"
#include "../threads.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {
namespace {

/// "16" where all layers agree, else "12-16".
std::string kept_text(const Facts& facts, const std::string& kind) {
  Index least = -1, most = 0;
  for (const GroupFacts& g : facts.groups) {
    if (g.kind != kind) continue;
    least = least < 0 ? g.alive : std::min(least, g.alive), most = std::max(most, g.alive);
  }
  return least == most ? with_commas(most) : with_commas(least) + "-" + with_commas(most);
}

json::Value kept_json(const Facts& facts) {
  json::Value all = json::Value::array();
  for (const GroupFacts& g : facts.groups)
    all.push_back(json::Value::object(
        {{"kind", g.kind}, {"layer", g.layer}, {"full", g.full}, {"kept", g.alive}, {"cost", g.cost}}));
  return all;
}

/// What each unit is worth, and which of them each share would remove: nothing where nobody asks, or where it takes data that
/// are not there.
std::optional<Scored> scores_of(const Request& request, const std::optional<LatencyFit>& latency, const std::vector<double>& shares) {
  const Settings& s = request.settings;
  const bool alone = s.reads_weights_alone();
  if (s.data.empty() && !(alone && request.given("criterion"))) return std::nullopt;
  if (s.official)
    throw Trouble{Errc::usage, "--official chooses again and again while its schedule goes on, and no plan can say what it will", "",
                  "leave --official away to see scores; or --data and --criterion, to see how many leave"};
  FitPlan p = fit_plan(request, "");
  p.timed = latency;
  const auto engine = open_engine(placement_for(s), s.model, alone ? no_adapters() : adapter_options(s), std::uint64_t(s.seed), task_request(s));
  if (alone) {
    p.ema = 0;
    return engine->score(p, nullptr, 1, shares);
  }
  const DataSet data = within("--data", "", [&] { return engine->read(s.data, s.seq_len); });
  within("--data", "", [&] { engine->check(data); });
  if (!s.adapter.empty()) within("--adapter", "", [&] { engine->load_adapter(s.adapter); });
  need_trainable(engine->facts());
  return engine->score(p, &data, s.score_batches, shares);
}

template <class Family>
int plan_for(const Request& request, const Console& console) {
  const Settings& s = request.settings;
  if (!find_unit_word(s.granularity)) return plan_weights(request, console);
  const ModelFiles<typename Family::Config> files(s.model);
  require_task(task_request(s), files);
  PrunerOptions options = pruner_options(s);
  const TargetRequest target = target_request(s);
  options.target = target_of<Family>(target, files.config, files.source, options);
  Meta<float> device;
  ModelOf<Meta<float>, Frozen, Family> whole(device, files.config);
  espalier::detail::prune_by(whole, options.granularity);
  const Facts dense = facts_of(whole);
  const double dense_bytes = double(stored_bytes(whole, files.source, target.dtype).count(whole));
  std::optional<LatencyFit> latency;
  if (target.seconds > 0) {
    console.say(console.faint("measuring models of different size"));
    latency = open_engine(placement_for(s), s.model, no_adapters())->time_to(fit_plan(request, ""));
    options.target.left = latency->left;
  }
  const auto outcome = [&](double share) { return planned<Family>(files.config, files.source, options, share, target); };

  const Planned<Family> asked = outcome(target.given() ? 0.5 : s.sparsity);
  const Index prunable = asked.report.prunable;
  json::Value result = json::Value::object(
      {{"model", s.model}, {"parameters", dense.parameters}, {"macs_per_token", dense.macs}, {"file_bytes", dense_bytes},
       {"prunable", prunable}});
  if (latency) result.set("latency", latency_json(*latency));
  std::string text;

  Table groups;
  groups.head = {"groups", "layers", "units", "parameters each", "in all"};
  std::vector<std::string> kinds;
  for (const GroupFacts& g : dense.groups)
    if (std::find(kinds.begin(), kinds.end(), g.kind) == kinds.end()) kinds.push_back(g.kind);
  for (const std::string& kind : kinds) {
    Index layers = 0, units = 0, cost = 0, all = 0;
    for (const GroupFacts& g : dense.groups)
      if (g.kind == kind) ++layers, units = g.alive, cost = g.cost, all += g.alive * g.cost;
    groups.rows.push_back({kind, with_commas(layers), with_commas(units), with_commas(cost), with_commas(all)});
  }
  groups.rows.push_back({"not prunable", "", "", "", with_commas(dense.parameters - prunable)});
  text += groups.text();

  std::vector<double> shares{0.1, 0.25, 0.5, 0.75};
  if (!target.given() && std::find(shares.begin(), shares.end(), s.sparsity) == shares.end()) shares.push_back(s.sparsity);
  std::sort(shares.begin(), shares.end());
  if (target.given()) shares = {0.5};
  if (s.sparsity_of == "all") shares = {s.sparsity};  // others may be out of reach
  const std::optional<Scored> scored = scores_of(request, latency, shares);

  Table table;
  table.head = {"sparsity", "parameters", "change", "MACs/token", "change", "file", "change"};
  for (const std::string& kind : kinds) table.head.push_back(kind == "heads" ? "head groups" : kind);
  table.head.push_back("reached");
  if (target.given()) table.head[0] = "target";
  if (s.sparsity_of == "all") table.head[0] = "of all";
  json::Value rows = json::Value::array();
  for (std::size_t k = 0; k < shares.size(); ++k) {
    const double share = shares[k];
    Planned<Family> o;
    try {
      o = share == s.sparsity || shares.size() == 1 ? asked : outcome(share);
    } catch (const Error&) {  // what was asked for is reachable; of the others, only those that are
      table.rows.push_back({printed("%.3g", share), "out of reach"});
      table.rows.back().resize(table.head.size());
      continue;
    }
    const std::string name = latency ? milliseconds(target.seconds) : target.given() ? brief(o.report.target) : printed("%.3g", share);
    table.rows.push_back(
        {name, with_commas(o.facts.parameters), change_text(double(dense.parameters), double(o.facts.parameters)),
         brief(double(o.facts.macs)), change_text(double(dense.macs), double(o.facts.macs)), bytes_text(o.file_bytes),
         change_text(dense_bytes, o.file_bytes)});
    for (const std::string& kind : kinds) table.rows.back().push_back(kept_text(o.facts, kind));
    table.rows.back().push_back(fixed(100 * o.report.reached, 2) + "%");
    rows.push_back(
        json::Value::object({{"asked", target.given() ? json::Value(o.report.target) : json::Value(share)},
                             {"budget", target_json(o.report, o.report.left)},
                             {"file_bytes", o.file_bytes},
                             {"parameters", o.facts.parameters},
                             {"macs_per_token", o.facts.macs},
                             {"reached", o.report.reached},
                             {"smallest_step", o.report.step},
                             {"removed", o.report.removed},
                             {"groups", kept_json(o.facts)}}));
    if (scored && scored->plans[k]) rows.elements().back().set("units", plan_json(*scored->plans[k], false));
  }
  result.set("outcomes", rows);
  text += "\n" + table.text();
  text += "\n" + target_table(asked.report, options, asked.report.left, s.macs_at,
                              latency ? std::optional<LatencyReached>({target.seconds, latency->seconds}) : std::nullopt).text();

  if (scored) {
    const double share = target.given() ? 0.5 : s.sparsity;
    const Plan& chosen = *scored->plans[std::size_t(std::find(shares.begin(), shares.end(), share) - shares.begin())];
    json::Value how = json::Value::object({{"criterion", s.criterion}});
    std::string from;
    if (!s.reads_weights_alone()) {
      how.set("data", s.data), how.set("batches", s.score_batches), how.set("batch", s.batch);
      how.set("loss", std::isfinite(scored->loss) ? json::Value(scored->loss) : json::Value());
      from = format(", from {} batches of {} of {}, at a loss of {}", s.score_batches, s.batch, s.data, fixed(scored->loss, 4));
    }
    result.set("scores", how);
    result.set("plan", plan_json(chosen, true));
    text += "\nby " + s.criterion + from + ":\n" + scores_table(*scored, shares).text();
    if (s.verbose) text += "\n" + units_table(*scored, shares).text();
    text += "\nat " + (target.given() ? "the target" : "sparsity " + printed("%.3g", share)) + ":\n" + kept_table(chosen).text();
  }
  console.result(console.json() ? result.dump(2) + "\n" : text);
  if (latency)
    console.say(format("{} measured on this machine, asked for {}: median of {} runs over {} tokens, {} models tried", milliseconds(latency->seconds),
                       milliseconds(target.seconds), s.runs, s.seq_len, latency->measured));
  console.say(console.faint(
      format("counted from shapes{}; no weight was changed; smallest step that these constraints allow: {} % of {} prunable parameters",
             scored ? ", scored from weights" : ", no weight was read", fixed(100 * asked.report.step, 2), with_commas(prunable))));
  if (scored)
    for (const std::string& warning : scored->warnings) console.warn(warning);
  if (request.given("criterion") && !scored)
    console.say(console.faint("--criterion " + s.criterion + " reads what training computes: -d FILE scores units from some batches of it; without, how "
                              "many leave is shown, not which"));
  if (scored && s.criterion == "lora" && s.adapter.empty())
    console.say(console.faint("adapters are as they start, B = 0: gradients are seen through a random A, in which rows (q, k, v, gate, up) show and "
                              "columns (o, down) hardly do; --adapter DIR scores with one that has learnt, --criterion full with exact gradients"));
  if (options.target.left > 0 && options.target.widths.empty()) {
    console.say(console.faint("layers will differ: the target counts what is computed; the file fills every layer up to the widest"));
  }
  if (s.ranking == "global" && !scored) {
    console.say(console.faint(
        "global ranking: how many units each layer keeps depends on scores; the rows show one way to spend the share"));
  }
  console.say("next: espalier prune " + s.model + " -d DATA -o OUT" +
              (request.given("granularity") ? " --granularity " + s.granularity : "") +
              (request.given("sparsity") ? " --sparsity " + printed("%.3g", s.sparsity) : ""));
  return 0;
}

}  // namespace

int plan(const Request& request, const Console& console) {
  need_model(request);
  use_threads(request.settings.threads);
  return with_any_family(request.settings.model, task_request(request.settings),
                         [&](auto family) { return plan_for<decltype(family)>(request, console); });
}

}  // namespace espalier::tool
