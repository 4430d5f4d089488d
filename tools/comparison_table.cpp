// SPDX-License-Identifier: MIT
#include "comparison_table.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "comparison.hpp"
#include "numbers.hpp"
#include "statistics.hpp"

namespace espalier::tool {
namespace {

/// Trials that differ in their seeds.
struct Row {
  std::string criterion;
  double sparsity;
  std::vector<const Trial*> trials;

  template <class F>
  Estimate over(F&& f) const {
    std::vector<double> x;
    for (const Trial* t : trials) x.push_back(f(*t));
    return Estimate(x);
  }
  Estimate loss() const { return over([](const Trial& t) { return t.evaluation.loss; }); }
  Estimate metric(std::size_t k) const {
    return over([&](const Trial& t) { return k < t.evaluation.metrics.size() ? t.evaluation.metrics[k].value : std::nan(""); });
  }
  Headline first() const { return Headline(trials.front()->evaluation); }
  Estimate headline() const { return over([](const Trial& t) { return Headline(t.evaluation).value; }); }
  /// What is drawn: of perplexities their logarithm.
  Estimate height() const { return first().name == "perplexity" ? loss() : headline(); }
  /// Less is better: the loss; or the metric of a task, and of equal ones the loss. What is not a number comes last.
  std::pair<double, double> rank() const {
    const double by = first().lower_is_better ? 0 : -headline().mean, loss_is = loss().mean;
    constexpr double last = std::numeric_limits<double>::infinity();
    return std::isnan(by + loss_is) ? std::pair(last, last) : std::pair(by, loss_is);
  }
  Estimate speed() const { return over([](const Trial& t) { return t.dense_latency / t.latency; }); }
  Estimate reached() const { return over([](const Trial& t) { return t.reached; }); }
  Estimate parameters() const { return over([](const Trial& t) { return double(t.parameters); }); }
};

std::vector<Row> rows_of(const std::vector<Trial>& trials) {
  std::vector<Row> rows;
  for (const Trial& t : trials) {
    const auto same = [&](const Row& r) { return r.criterion == t.arm.criterion && r.sparsity == t.arm.sparsity; };
    auto row = std::find_if(rows.begin(), rows.end(), same);
    if (row == rows.end()) row = rows.insert(rows.end(), {t.arm.criterion, t.arm.sparsity, {}});
    row->trials.push_back(&t);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    if (a.sparsity != b.sparsity) return a.sparsity < b.sparsity;
    return a.rank() < b.rank();
  });
  return rows;
}

/// Of one criterion at one sparsity: its loss minus that of the reference, over the seeds that both have.
struct Pair {
  std::string criterion;
  double sparsity;
  Estimate loss;
};

std::vector<Pair> pairs_of(const std::vector<Trial>& trials) {
  const std::string reference = reference_of(trials);
  std::vector<Pair> pairs;
  for (const Row& row : rows_of(trials)) {
    if (row.criterion.empty() || row.criterion == reference) continue;
    std::vector<double> differences;
    for (const Trial* one : row.trials)
      for (const Trial& other : trials)
        if (other.arm == Arm{reference, row.sparsity, one->arm.seed}) differences.push_back(one->evaluation.loss - other.evaluation.loss);
    if (!differences.empty()) pairs.push_back({row.criterion, row.sparsity, Estimate(differences)});
  }
  return pairs;
}

std::string with_interval(const Estimate& e, int digits) {
  return fixed(e.mean, digits) + (e.n > 1 ? " ± " + fixed(e.half, digits) : "");
}
json::Value as_json(const Estimate& e) {
  const auto number = [](double x) { return std::isfinite(x) ? json::Value(x) : json::Value(); };
  return json::Value::object({{"mean", number(e.mean)}, {"half_width_95", number(e.half)}, {"n", e.n}});
}

}  // namespace

Table comparison_table(const std::vector<Trial>& trials, const std::string& dense) {
  Table table;
  const auto rows = rows_of(trials);
  const std::string name = rows.front().first().name;
  table.head = {"sparsity", "criterion", "loss", "reached", "parameters", "speed"};
  for (const Row& r : rows) {
    table.rows.push_back({fixed(100 * r.sparsity, 0) + "%", r.criterion.empty() ? dense : r.criterion,
                          with_interval(r.loss(), 4), fixed(100 * r.reached().mean, 2) + "%",
                          with_commas(Index(std::llround(r.parameters().mean))), with_interval(r.speed(), 2) + "x"});
    if (name != "loss") table.rows.back().insert(table.rows.back().begin() + 2, with_interval(r.headline(), name == "perplexity" ? 3 : 4));
  }
  if (name != "loss") table.head.insert(table.head.begin() + 2, name);
  return table;
}

json::Value comparison_json(const std::vector<Trial>& trials) {
  json::Value all = json::Value::array();
  for (const Row& r : rows_of(trials)) {
    json::Value row = json::Value::object({{"criterion", r.criterion}, {"sparsity", r.sparsity}});
    const auto& metrics = r.trials.front()->evaluation.metrics;
    for (std::size_t k = 0; k < metrics.size(); ++k) row.set(metrics[k].name, as_json(r.metric(k)));
    if (r.first().name == "perplexity") row.set("perplexity", as_json(r.headline()));
    row.set("loss", as_json(r.loss())), row.set("reached", as_json(r.reached()));
    row.set("parameters", as_json(r.parameters())), row.set("speed", as_json(r.speed()));
    all.push_back(row);
  }
  return all;
}

std::string reference_of(const std::vector<Trial>& trials) {
  std::string first;
  for (const Trial& t : trials) {
    if (t.arm.criterion == "lora") return "lora";
    if (first.empty()) first = t.arm.criterion;
  }
  return first;
}

Table paired_table(const std::vector<Trial>& trials) {
  Table table;
  table.head = {"sparsity", "criterion", "loss minus that of " + reference_of(trials), "seeds"};
  for (const Pair& p : pairs_of(trials))
    table.rows.push_back({fixed(100 * p.sparsity, 0) + "%", p.criterion,
                          printed("%+.4f", p.loss.mean) + (p.loss.n > 1 ? " ± " + fixed(p.loss.half, 4) : ""), std::to_string(p.loss.n)});
  return table;
}

json::Value paired_json(const std::vector<Trial>& trials) {
  json::Value rows = json::Value::array();
  for (const Pair& p : pairs_of(trials))
    rows.push_back(json::Value::object({{"criterion", p.criterion}, {"sparsity", p.sparsity}, {"loss", as_json(p.loss)}}));
  return json::Value::object({{"reference", reference_of(trials)}, {"rows", rows}});
}

Chart comparison_chart(const std::vector<Trial>& trials) {
  Chart chart;
  const auto rows = rows_of(trials);
  const std::string name = rows.front().first().name;
  chart.title = "Held-out " + (name == "perplexity" ? "loss, nats per token" : name), chart.x_name = "sparsity", chart.x_percent = true;
  std::map<std::string, std::size_t> curve_of;
  double dense = std::nan("");
  for (const Row& r : rows)
    if (r.criterion.empty()) dense = r.height().mean;
  for (const Row& r : rows) {
    if (r.criterion.empty()) continue;
    const auto [at, fresh] = curve_of.emplace(r.criterion, chart.curves.size());
    if (fresh) {
      Curve curve{r.criterion, "c" + std::to_string(chart.curves.size() % 10), {}};
      curve.dots = true;
      if (std::isfinite(dense)) curve.points.push_back({0, dense});
      chart.curves.push_back(std::move(curve));
    }
    if (const double y = r.height().mean; std::isfinite(y)) chart.curves[at->second].points.push_back({r.sparsity, y});
  }
  return chart;
}

}  // namespace espalier::tool
