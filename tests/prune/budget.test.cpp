// SPDX-License-Identifier: MIT
// Budgets that are hit: seeded cases of every kind under every constraint. What is reached is counted from the tensors of
// a model that is really compacted, and what can be reached is found by trying.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/backend/meta.hpp>
#include <espalier/model/llama.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/latency.hpp>
#include <espalier/prune/pruner.hpp>
#include <random>
#include <set>
#include <tuple>
#include <utility>

using namespace espalier;

namespace {

/// Shapes without memory whose scores are thrown with dice.
struct Dice : Meta<float> {
  std::mt19937 dice{1};
  template <class U>
  void download(const U*, U* to, Index n) {
    for (Index i = 0; i < n; ++i) to[i] = std::is_floating_point_v<U> ? U(dice() % 1000) : U{};
  }
};
using Rolled = Llama<Dice, Frozen>;
using Shapes = Llama<Meta<float>, Frozen>;

double bytes_of(const std::string& path) {
  const auto names = [&](const char* part) { return path.find(part) != std::string::npos; };
  return names("q_proj") || names("norm") ? 4 : names("up_proj") ? 8 : 2;
}

struct Case {
  LlamaConfig config;
  PrunerOptions options;
  double sparsity = 0.5;
  double time = 0;  ///< share of the dense model's seconds that is asked for; 0: seconds are not the target

  bool by_budget() const { return options.target.left > 0 || options.of == SparsityOf::all; }
  bool excluded(Index layer) const {
    for (const Index e : options.exclude)
      if (layer == (e < 0 ? e + config.layers : e)) return true;
    return false;
  }
  bool one_width() const { return !options.target.widths.empty(); }
};

Case roll(std::uint32_t seed) {
  std::mt19937 dice(seed);
  const auto any = [&](Index low, Index high) { return low + Index(dice() % std::uint32_t(high - low + 1)); };
  const auto maybe = [&](int percent) { return int(dice() % 100) < percent; };
  Case c;
  const Index groups = any(1, 6);
  c.config = {.vocab = any(5, 40), .hidden = 8 * any(1, 3), .layers = any(1, 4), .heads = groups * any(1, 2),
              .groups = groups, .head_dim = 2 * any(1, 3), .feed_forward = any(4, 40)};
  c.config.tied = maybe(30);
  if (maybe(30)) c.config.qkv_bias = c.config.out_bias = c.config.feed_forward_bias = true;
  PrunerOptions& o = c.options;
  o.every = 1;
  o.revival = maybe(50) ? Revival::none : Revival::ema;
  if (maybe(50)) o.ranking = Ranking::global;
  if (o.ranking == Ranking::global) o.per_cost = maybe(40);
  if (maybe(50)) o.round_to = any(2, 8);
  if (maybe(20)) o.min_heads = any(1, groups), o.min_channels = any(1, c.config.feed_forward);
  if (maybe(30)) o.layer_floor = double(any(1, 6)) / 10;
  if (maybe(10)) (maybe(50) ? o.heads : o.channels) = false;
  if (c.config.layers > 1 && maybe(40)) o.exclude = {any(-1, c.config.layers - 1)};
  if (o.exclude.empty() && o.ranking == Ranking::local) o.uniform = maybe(40);
  Meta<float> device;
  Shapes dense(device, c.config);
  const int kind = std::min(5, int(any(0, 6)));
  if (kind == 1) o.of = SparsityOf::all;
  if (kind == 5) c.time = double(any(60, 108)) / 100;
  if (kind == 3 || kind == 5) o.target.budget = MacBudget{.positions = maybe(50) ? double(any(1, 64)) : 0};
  if (kind == 4) {
    ByteBudget bytes;
    for_each_tensor(dense, [&](const std::string& path, auto&) { bytes.bytes[path] = bytes_of(path); });
    o.target.budget = bytes;
  }
  if (kind >= 2) {
    o.target.left = std::floor(count(o.target.budget, dense) * double(any(50, 102)) / 100);
    if (kind == 5) o.target.left = count(o.target.budget, dense);  // until it is measured
    if (o.ranking == Ranking::local && maybe(50)) {
      for (Index n = 0; n <= groups; ++n) o.target.widths["heads"].push_back(n);
      for (Index n = 0; n <= c.config.feed_forward; ++n) o.target.widths["channels"].push_back(n);
    }
  } else {
    c.sparsity = double(any(1, 85)) / 100;
  }
  return c;
}

/// Counted by hand from the shapes: what the budget's own walk should come to.
double counted_by_hand(Shapes& model, const Budget& budget) {
  double parameters = 0, macs = 0, bytes = 0, heads = 0;
  for_each_tensor(model, [&](const std::string& path, auto& t) {
    const double n = double(t.size());
    parameters += n, bytes += n * bytes_of(path);
    if (path.find("_proj.weight") != std::string::npos) macs += n;
    if (path.find("o_proj.weight") != std::string::npos) heads += double(t.shape(1));
  });
  macs += double(model.config.vocab * model.config.hidden);
  if (const auto* m = std::get_if<MacBudget>(&budget)) return macs + 2 * m->positions * heads;
  return std::holds_alternative<ByteBudget>(budget) ? bytes : parameters;
}

/// f(a real model with these units, of one width for all layers where the case says so).
template <class F>
double of_model_after(const Case& c, const Plan& plan, F&& f) {
  Meta<float> device;
  LlamaConfig config = c.config;
  if (c.one_width()) {
    std::map<std::string, Index> widest;
    for (const PlanGroup& g : plan.groups) widest[g.kind] = std::max(widest[g.kind], Index(g.kept.size()));
    config.groups = widest["heads"], config.heads = config.groups * (c.config.heads / c.config.groups);
    config.feed_forward = widest["channels"];
    Shapes model(device, config);
    return f(model);
  }
  Shapes model(device, config);
  const Index after = count_after(model, plan);
  CHECK(after == count_parameters(model));
  return f(model);
}
double counted_after(const Case& c, const Plan& plan) {
  return of_model_after(c, plan, [&](Shapes& model) { return counted_by_hand(model, c.options.target.budget); });
}

/// A machine that takes so long for a run and so long for a multiplication, more where the model leaves the cache, and is
/// interrupted now and then. No clock but its own is looked at.
struct Machine {
  static constexpr double kRun = 1e-6, kCached = 1e-9, kEach = 4e-9;
  double cache = 0;  ///< multiplications
  double now = 0;
  std::mt19937 dice{7};

  double takes(double macs) const { return kRun + kCached * std::min(macs, cache) + kEach * std::max(macs - cache, 0.0); }
  double median(Shapes& model, const Budget& budget) {
    const double takes = this->takes(counted_by_hand(model, budget));
    return median_seconds([&] { now += takes * (dice() % 8 == 0 ? 4 : 1); }, [&] { return now; });
  }
};

/// Prunes by the dice of a seed, in four steps.
std::pair<PruneReport, Plan> pruned(const Case& c, std::uint32_t seed, const PrunerOptions& o) {
  Dice device;
  device.dice.seed(seed);
  Rolled model(device, c.config);
  Pruner pruner(model, RandomImportance{}, EMAMask{.decay = 0}, LinearSchedule{.begin = 0, .end = 4, .sparsity = c.sparsity}, o);
  for (int t = 0; t < 4; ++t) pruner.step();
  return {pruner.report(), pruner.plan()};
}

/// Puts the MACs that take so many seconds in the place of the target: found by measuring models that are really cut.
LatencyFit fit_to(Case& c, std::uint32_t seed, double seconds, double least, double dense, Machine& machine) {
  const LatencyFit fit = fit_latency(seconds, least, dense, [&](double left) {
    Case cut = c;
    cut.options.target.left = left;
    const auto [report, plan] = pruned(cut, seed, cut.options);
    CHECK(report.left == counted_after(cut, plan));
    return of_model_after(cut, plan, [&](Shapes& model) { return machine.median(model, cut.options.target.budget); });
  });
  c.options.target.left = fit.left;
  return fit;
}

/// Every number of units that a layer may keep.
std::vector<Index> allowed(const Case& c, const std::string& kind, Index layer) {
  const bool heads = kind == "heads";
  const PrunerOptions& o = c.options;
  const Index full = heads ? c.config.groups : c.config.feed_forward;
  std::vector<Index> all{full};
  if (c.excluded(layer) || !(heads ? o.heads : o.channels)) return all;
  for (Index n = 1; n < full; ++n)
    if (n % (heads ? 1 : o.round_to) == 0 && n >= (heads ? o.min_heads : o.min_channels) &&
        double(n) >= o.layer_floor * double(full) - 1e-9)
      all.push_back(n);
  return all;
}

/// Everything that can be left under the constraints, whatever the scores are.
std::set<double> everything(const Case& c) {
  Meta<float> device;
  Shapes model(device, c.config);
  const std::vector<double> price = prices(c.options.target.budget, model);
  std::set<double> sums{count(c.options.target.budget, model)};
  std::size_t n = 0;
  std::map<std::string, std::vector<std::pair<Index, double>>> kinds;  // layer and price, by kind
  model.groups([&](auto group) { kinds[group.kind].push_back({group.layer, price[n++]}); });
  for (const auto& [kind, layers] : kinds) {
    const Index full = kind == "heads" ? c.config.groups : c.config.feed_forward;
    const bool together = c.options.uniform || c.one_width();
    std::vector<std::pair<Index, double>> steps = layers;
    if (together) {
      steps = {{layers[0].first, 0}};
      for (const auto& [layer, each] : layers) {
        steps[0].second += each;
        if (c.excluded(layer)) steps[0].first = layer;  // one that stays wide keeps all others wide
      }
    }
    for (const auto& [layer, each] : steps) {
      std::set<double> next;
      for (const double sum : sums)
        for (const Index kept : allowed(c, kind, layer)) next.insert(sum - each * double(full - kept));
      sums = std::move(next);
    }
  }
  return sums;
}

}  // namespace

TEST_CASE("more than a hundred budgets are hit within the step that is printed, or refused with what can be reached") {
  int hit = 0, refused = 0, refused_seconds = 0, kinds[5] = {};
  for (std::uint32_t seed = 0; seed < 140; ++seed) {
    CAPTURE(seed);
    Case c = roll(seed);
    const PrunerOptions& o = c.options;
    if (o.exclude == std::vector<Index>{0} && c.config.layers == 1) continue;
    const std::set<double> reachable = everything(c);
    const double dense = *reachable.rbegin(), least = *reachable.begin();
    Meta<float> device;
    Shapes model(device, c.config);
    CHECK(dense == counted_by_hand(model, o.target.budget));
    const std::vector<double> price = prices(o.target.budget, model);
    double prunable = 0, coarsest = 0;
    std::map<std::string, double> finest;
    std::size_t n = 0;
    model.groups([&](auto group) {
      const auto kept = allowed(c, group.kind, group.layer);
      const double each = price[n++];
      const bool open = !c.excluded(group.layer) && (group.kind == "heads" ? o.heads : o.channels);
      if (open) prunable += each * double(group.units());
      const Index block = kept.size() < 2 ? 0 : std::max(group.units() - kept.back(), group.kind == "heads" ? 1 : o.round_to);
      finest[group.kind] = std::max(finest[group.kind], each * double(block));
      coarsest = std::max(coarsest, each * double(block) * double(c.config.layers));
    });
    Machine machine{.cache = least + 0.7 * (dense - least)};
    const double dense_seconds = machine.takes(dense), least_seconds = machine.takes(least), seconds = c.time * dense_seconds;
    if (c.time > 0) {
      double step = 0;
      try {
        step = pruned(c, seed, o).first.smallest_step;
        fit_to(c, seed, seconds, least, dense, machine);
      } catch (const Error& e) {
        ++refused, ++refused_seconds;
        const std::string what = e.what();
        CAPTURE(what);
        const auto within = [&](double part) { return seconds >= least_seconds * (1 - part) && seconds <= dense_seconds * (1 + part); };
        // Out of reach, or between two steps.
        CHECK((!within(0.05) || Machine::kEach * step > 0.05 * seconds));
        CHECK(what.find(within(0.05) ? "no model within 5 % of" : "cannot be reached: the dense model takes") != std::string::npos);
        CHECK(what.find(format("the dense model takes {} ms and the least one that these constraints allow {} ms", dense_seconds * 1e3,
                               least_seconds * 1e3)) != std::string::npos);
        continue;
      }
    }
    const double target = o.target.left > 0 ? o.target.left : dense - c.sparsity * (o.of == SparsityOf::all ? dense : prunable);
    Plan plan;
    PruneReport report;
    try {
      std::tie(report, plan) = pruned(c, seed, o);
    } catch (const Error& e) {
      ++refused;
      const std::string what = e.what();
      CAPTURE(what);
      CHECK((target < least || target > dense));
      CHECK(what.find("from " + amount_text(least) + " to " + amount_text(dense) + " can be reached") != std::string::npos);
      continue;
    }
    ++hit, ++kinds[c.time > 0 ? 4 : o.target.budget.index() + (o.of == SparsityOf::all ? 3 : 0)];
    if (c.time > 0) {
      const double took = of_model_after(c, plan, [&](Shapes& cut) { return machine.median(cut, o.target.budget); });
      CHECK(std::abs(took - seconds) <= 0.05 * seconds);
    }
    const double left = counted_after(c, plan);
    CHECK(left == report.left);
    CHECK(report.dense == dense);
    CHECK(report.least == least);
    CHECK(report.target == doctest::Approx(target).epsilon(1e-12));
    CHECK(std::abs(left - target) <= report.smallest_step);
    CHECK(reachable.count(left) == 1);
    CHECK(report.smallest_step <= coarsest);
    for (const PlanGroup& g : plan.groups) {
      const auto kept = allowed(c, g.kind, g.layer);
      CHECK(std::count(kept.begin(), kept.end(), Index(g.kept.size())) == 1);
    }
    if (c.by_budget() && !o.per_cost && !c.one_width()) {
      // The step is no larger than it must be: a block of the finest kind, or the widest gap there is.
      double gap = 0, last = least, fine = 1e300;
      for (const double sum : reachable) gap = std::max(gap, sum - last), last = sum;
      for (const auto& [kind, step] : finest)
        if (step > 0) fine = std::min(fine, step * (o.uniform ? double(c.config.layers) : 1));
      CHECK(report.smallest_step <= std::max(gap, fine) + 1e-9);
      if (o.ranking == Ranking::local) {
        double nearest = 1e300;
        for (const double sum : reachable) nearest = std::min(nearest, std::abs(sum - target));
        CHECK(std::abs(left - target) <= std::max(nearest, report.smallest_step / 2) + 1e-9);
      }
    }
  }
  CHECK(hit + refused >= 130);
  CHECK(hit >= 60);
  CHECK(refused >= 10);

  CHECK((kinds[0] >= 10 && kinds[1] >= 10 && kinds[2] >= 10 && kinds[3] >= 5 && kinds[4] >= 8));
  CHECK(refused_seconds >= 2);
}
