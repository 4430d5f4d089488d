// SPDX-License-Identifier: MIT
#include "comparison_table.hpp"

#include <algorithm>
#include <cmath>
#include <map>

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
  Estimate loss() const { return over([](const Trial& t) { return t.loss; }); }
  Estimate perplexity() const { return over([](const Trial& t) { return std::exp(t.loss); }); }
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
    const double x = a.loss().mean, y = b.loss().mean;
    return !std::isnan(x) && (std::isnan(y) || x < y);
  });
  return rows;
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
  table.head = {"sparsity", "criterion", "perplexity", "loss", "reached", "parameters", "speed"};
  for (const Row& r : rows_of(trials)) {
    table.rows.push_back({fixed(100 * r.sparsity, 0) + "%", r.criterion.empty() ? dense : r.criterion,
                          with_interval(r.perplexity(), 3), with_interval(r.loss(), 4), fixed(100 * r.reached().mean, 2) + "%",
                          with_commas(Index(std::llround(r.parameters().mean))), with_interval(r.speed(), 2) + "x"});
  }
  return table;
}

json::Value comparison_json(const std::vector<Trial>& trials) {
  json::Value all = json::Value::array();
  for (const Row& r : rows_of(trials)) {
    all.push_back(json::Value::object({{"criterion", r.criterion},
                                       {"sparsity", r.sparsity},
                                       {"perplexity", as_json(r.perplexity())},
                                       {"loss", as_json(r.loss())},
                                       {"reached", as_json(r.reached())},
                                       {"parameters", as_json(r.parameters())},
                                       {"speed", as_json(r.speed())}}));
  }
  return all;
}

Chart comparison_chart(const std::vector<Trial>& trials) {
  Chart chart;
  chart.title = "Held-out loss, nats per token", chart.x_name = "sparsity", chart.x_percent = true;
  std::map<std::string, std::size_t> curve_of;
  const auto rows = rows_of(trials);
  double dense = std::nan("");
  for (const Row& r : rows)
    if (r.criterion.empty()) dense = r.loss().mean;
  for (const Row& r : rows) {
    if (r.criterion.empty()) continue;
    const auto [at, fresh] = curve_of.emplace(r.criterion, chart.curves.size());
    if (fresh) {
      Curve curve{r.criterion, "c" + std::to_string(chart.curves.size() % 10), {}};
      curve.dots = true;
      if (std::isfinite(dense)) curve.points.push_back({0, dense});
      chart.curves.push_back(std::move(curve));
    }
    if (const double loss = r.loss().mean; std::isfinite(loss)) chart.curves[at->second].points.push_back({r.sparsity, loss});
  }
  return chart;
}

}  // namespace espalier::tool
