// SPDX-License-Identifier: MIT
// What a model costs: MACs against the products of a forward pass, and budgets that are hit: seeded cases of every kind of
// model and unit under every constraint. What is reached is counted from the tensors of a model that is really compacted,
// and what can be reached is found by trying.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/backend/meta.hpp>
#include <espalier/model/bert.hpp>
#include <espalier/model/deberta.hpp>
#include <espalier/model/gpt2.hpp>
#include <espalier/model/llama.hpp>
#include <espalier/model/vit.hpp>
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

/// Shapes without memory whose scores are thrown with dice, and whose products are counted.
struct Dice : Meta<float> {
  std::mt19937 dice{1};
  double products = 0;
  template <class U>
  void download(const U*, U* to, Index n) {
    for (Index i = 0; i < n; ++i) to[i] = std::is_floating_point_v<U> ? U(dice() % 1000) : U{};
  }
  template <class A, class B, class C, int R>
  void gemm(float, View<A, R> a, View<B, R>, float, View<C, R> c) {
    products += double(c.size()) * double(a.shape[R - 1]);
  }
};
using Llamas = Llama<Dice, Frozen>;
using Gpt2s = Gpt2<Dice, Frozen>;
using Classifiers = BertForSequenceClassification<Dice, Frozen>;

bool names(const std::string& path, std::initializer_list<const char*> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](const char* part) { return path.find(part) != std::string::npos; });
}
double bytes_of(const std::string& path) {
  if (names(path, {"q_proj", "norm", "c_attn", "ln_", "query", "LayerNorm"})) return 4;
  return names(path, {"up_proj", "c_fc", "intermediate", "classifier"}) ? 8 : 2;
}

enum class Kind { llama, gpt2, bert };
struct Case {
  Kind kind = Kind::llama;
  LlamaConfig config;  ///< the others' numbers, too
  PrunerOptions options;
  double sparsity = 0.5;
  double time = 0;  ///< share of the dense model's seconds that is asked for; 0: seconds are not the target

  Gpt2Config gpt2() const {
    Gpt2Config c;
    c.vocab = config.vocab, c.hidden = config.hidden, c.layers = config.layers, c.head_dim = config.head_dim, c.max_positions = 5;
    c.heads = c.groups = config.heads, c.feed_forward = config.feed_forward, c.tied = config.tied;
    return c;
  }
  Classifiers::Config bert() const {
    Classifiers::Config c;
    c.vocab = config.vocab, c.hidden = config.hidden, c.layers = config.layers, c.head_dim = config.head_dim, c.max_positions = 5;
    c.heads = c.groups = config.heads, c.feed_forward = config.feed_forward, c.labels.count = 3;
    return c;
  }
  bool by_budget() const { return options.target.left > 0 || options.of == SparsityOf::all; }
  bool names_layer(Index layer) const {
    for (const Index e : options.exclude)
      if (layer == (e < 0 ? e + config.layers : e)) return true;
    return false;
  }
  bool one_width() const { return !options.target.widths.empty(); }
};

/// f(the model of a case), by its own units.
template <class F>
auto with_model(const Case& c, Dice& device, F&& f) {
  const auto go = [&](auto&& model) {
    detail::prune_by(model, c.options.granularity);
    return f(model);
  };
  if (c.kind == Kind::gpt2) return go(Gpt2s(device, c.gpt2()));
  if (c.kind == Kind::bert) return go(Classifiers(device, c.bert()));
  return go(Llamas(device, c.config));
}

/// A group as the constraints see it.
struct Allowed {
  std::string kind;
  Index layer, full;
  double price;
  bool open;
  std::vector<Index> kept;  ///< every number of units that it may keep, ascending
};

/// Written down once more, from what the options say.
Allowed allowed_in(const Case& c, const std::string& kind, Index layer, Index full, Index parts, double price) {
  const PrunerOptions& o = c.options;
  const bool heads = kind == "heads" || kind == "queries", channels = kind == "channels";
  Allowed u{kind, layer, full, price, true, {full}};
  u.open = !(layer >= 0 && c.names_layer(layer)) && !(heads && !o.heads) && !(channels && !o.channels);
  if (!u.open) return u;
  const Index round = channels || kind == "hidden" ? o.round_to : parts > 1 && o.even ? parts : 1;
  Index least = std::max(parts, heads ? o.min_heads : channels ? o.min_channels : 1), spared = 0;
  for (Index l = 0; kind == "layers" && l < full; ++l) spared += c.names_layer(l);
  least = std::max(least, spared);
  for (Index n = full - 1; n >= least; --n)
    if (n % round == 0 && double(n) >= o.layer_floor * double(full) - 1e-9) u.kept.insert(u.kept.begin(), n);
  return u;
}
std::vector<Allowed> allowed_in(const Case& c) {
  Dice device;
  return with_model(c, device, [&](auto& model) {
    std::vector<Allowed> all;
    const std::vector<double> price = prices(c.options.target.budget, model);
    model.groups([&](auto group) {
      all.push_back(allowed_in(c, group.kind, group.layer, group.units(), group.parts, price[all.size()]));
    });
    return all;
  });
}

Case roll(std::uint32_t seed) {
  std::mt19937 dice(seed);
  const auto any = [&](Index low, Index high) { return low + Index(dice() % std::uint32_t(high - low + 1)); };
  const auto maybe = [&](int percent) { return int(dice() % 100) < percent; };
  Case c;
  c.kind = maybe(60) ? Kind::llama : maybe(50) ? Kind::gpt2 : Kind::bert;
  PrunerOptions& o = c.options;
  if (c.kind == Kind::llama && maybe(60)) o.granularity = std::vector{Granularity::queries, Granularity::layers, Granularity::hidden}[std::size_t(any(0, 2))];
  if (c.kind == Kind::gpt2 && maybe(25)) o.granularity = Granularity::layers;
  const bool queries = o.granularity == Granularity::queries, layers = o.granularity == Granularity::layers,
             hidden = o.granularity == Granularity::hidden;
  const Index groups = any(1, queries ? 3 : 6);
  c.config = {.vocab = any(5, 40), .hidden = 8 * any(1, 3), .layers = any(layers ? 2 : 1, layers ? 6 : 4),
              .heads = groups * (queries ? any(2, 3) : any(1, 2)), .groups = groups, .head_dim = 2 * any(1, 3), .feed_forward = any(4, 40)};
  c.config.tied = maybe(30);
  if (maybe(30)) c.config.qkv_bias = c.config.out_bias = c.config.feed_forward_bias = true;
  o.every = 1;
  o.revival = maybe(50) ? Revival::none : Revival::ema;
  if (maybe(50)) o.ranking = Ranking::global;
  if (o.ranking == Ranking::global) o.per_cost = maybe(40);
  if (maybe(50)) o.round_to = any(2, 8);
  if (maybe(20)) o.min_heads = any(1, groups), o.min_channels = any(1, c.config.feed_forward);
  if (maybe(30)) o.layer_floor = double(any(1, 6)) / 10;
  if (maybe(10) && !layers && !hidden) (maybe(50) ? o.heads : o.channels) = false;
  if (queries && maybe(40)) o.even = false;
  if (c.config.layers > 1 && !hidden && maybe(40))
    for (Index n = any(1, c.config.layers - 1); n > 0; --n) o.exclude.push_back(any(-c.config.layers, c.config.layers - 1));
  if ((o.exclude.empty() || layers) && o.ranking == Ranking::local && o.even) o.uniform = maybe(40);
  const int kind = std::clamp(int(any(-2, 6)), 0, 5);
  if (kind == 1) o.of = SparsityOf::all;
  if (kind == 5) c.time = double(any(60, 108)) / 100;
  if (kind == 3 || kind == 5) o.target.budget = MacBudget{.positions = maybe(50) ? double(any(1, 64)) : 0};
  Dice device;
  with_model(c, device, [&](auto& model) {
    if (kind == 4) {
      ByteBudget bytes;
      for_each_stored(model, [&](const std::string& path, auto&) { bytes.bytes[path] = bytes_of(path); });
      o.target.budget = bytes;
    }
    if (kind >= 2) o.target.left = std::floor(count(o.target.budget, model) * (kind == 5 ? 1 : double(any(50, 102)) / 100));
  });
  if (kind < 2) c.sparsity = double(any(1, 85)) / 100;
  // Stored as they are, filled up to a multiple, or all of them, as heads of which a configuration cannot say fewer.
  if (kind >= 2 && o.ranking == Ranking::local && o.even && maybe(50))
    for (const Allowed& u : allowed_in(c)) {
      const bool some = u.layer >= 0;
      const Index to = some && maybe(30) ? any(2, 4) : some && u.kind == "heads" && maybe(40) ? u.full : 1;
      if (!o.target.widths[u.kind].empty()) continue;
      for (Index n = 0; n <= u.full; ++n) o.target.widths[u.kind].push_back(std::min(u.full, (n + to - 1) / to * to));
    }
  return c;
}

/// Counted by hand from the shapes: what the budget's own walk should come to.
template <class Model>
double counted_by_hand(Model& model, const Budget& budget) {
  double parameters = 0, macs = 0, bytes = 0, heads = 0;
  const auto stored = [&](const std::string& path, double n) { parameters += n, bytes += n * bytes_of(path); };
  for_each_tensor(model, [&](const std::string& path, auto& t) {
    const double n = double(t.size());
    stored(path, n);
    const bool block = names(path, {".layers.", ".h.", ".layer."}), norm = names(path, {"norm", "ln_", "Norm"});
    if (block && !norm && path.ends_with(".weight")) macs += n;
    if (names(path, {"o_proj.weight", "attn.c_proj.weight", "attention.output.dense.weight"}))
      if constexpr (std::extent_v<decltype(t.view().shape)> == 2) heads += double(t.shape(1));
  });
  if constexpr (std::is_same_v<Model, Classifiers>) {
    stored("classifier.weight", 3 * double(model.config.hidden)), stored("classifier.bias", 3);
  } else {
    macs += double(model.config.vocab * model.config.hidden);
  }
  if (const auto* m = std::get_if<MacBudget>(&budget)) return macs + 2 * m->positions * heads;
  return std::holds_alternative<ByteBudget>(budget) ? bytes : parameters;
}

/// f(a real model with these units, of one width for all layers where the case says so).
template <class F>
double of_model_after(const Case& c, const Plan& plan, F&& f) {
  Dice device;
  Case cut = c;
  std::map<std::string, Index> widest;
  if (c.one_width() && plan.groups.front().layer >= 0) {
    for (const PlanGroup& g : plan.groups) widest[g.kind] = std::max(widest[g.kind], Index(g.kept.size()));
    const auto stored = [&](const char* kind) { return c.options.target.widths.at(kind).at(std::size_t(widest.at(kind))); };
    if (widest.count("queries") > 0) {
      cut.config.heads = stored("queries");
    } else {
      const Index each = c.kind == Kind::llama ? c.config.heads / c.config.groups : 1;
      cut.config.groups = stored("heads"), cut.config.heads = cut.config.groups * each;
    }
    cut.config.feed_forward = stored("channels");
    if (cut.options.granularity == Granularity::queries) cut.options.granularity = Granularity::groups;
    return with_model(cut, device, f);
  }
  return with_model(c, device, [&](auto& model) {
    const Index after = count_after(model, plan);
    CHECK(after == count_parameters(model));
    return f(model);
  });
}
double counted_after(const Case& c, const Plan& plan) {
  return of_model_after(c, plan, [&](auto& model) { return counted_by_hand(model, c.options.target.budget); });
}

/// A machine that takes so long for a run and so long for a multiplication, more where the model leaves the cache, and is
/// interrupted now and then. No clock but its own is looked at.
struct Machine {
  static constexpr double kRun = 1e-6, kCached = 1e-9, kEach = 4e-9;
  double cache = 0;  ///< multiplications
  double now = 0;
  std::mt19937 dice{7};

  double takes(double macs) const { return kRun + kCached * std::min(macs, cache) + kEach * std::max(macs - cache, 0.0); }
  double median(double macs) {
    const double takes = this->takes(macs);
    return median_seconds([&] { now += takes * (dice() % 8 == 0 ? 4 : 1); }, [&] { return now; });
  }
};

/// Prunes by the dice of a seed, in four steps.
std::pair<PruneReport, Plan> pruned(const Case& c, std::uint32_t seed, const PrunerOptions& o) {
  Dice device;
  device.dice.seed(seed);
  return with_model(c, device, [&](auto& model) {
    Pruner pruner(model, RandomImportance{}, EMAMask{.decay = 0}, LinearSchedule{.begin = 0, .end = 4, .sparsity = c.sparsity}, o);
    for (int t = 0; t < 4; ++t) pruner.step();
    return std::pair{pruner.report(), pruner.plan()};
  });
}

/// Puts the MACs that take so many seconds in the place of the target: found by measuring models that are really cut.
LatencyFit fit_to(Case& c, std::uint32_t seed, double seconds, double least, double dense, Machine& machine) {
  const LatencyFit fit = fit_latency(seconds, least, dense, [&](double left) {
    Case cut = c;
    cut.options.target.left = left;
    const auto [report, plan] = pruned(cut, seed, cut.options);
    const double macs = counted_after(cut, plan);
    CHECK(report.left == macs);
    return machine.median(macs);
  });
  c.options.target.left = fit.left;
  return fit;
}

/// Allowed of a kind that go together, or of one layer: what they can cost less than in full.
struct Rungs {
  std::string kind;
  std::vector<double> spent;  ///< ascending, from 0 on
  double rise() const {
    double most = 0;
    for (std::size_t n = 1; n < spent.size(); ++n) most = std::max(most, spent[n] - spent[n - 1]);
    return most;
  }
};
std::vector<Rungs> rungs_of(const Case& c, const std::vector<Allowed>& groups) {
  std::vector<Rungs> tracks;
  const bool together = c.options.uniform || c.one_width();
  std::set<std::string> done;
  for (const Allowed& u : groups) {
    if (together && !done.insert(u.kind).second) continue;
    double price = 0;
    const Allowed* least = &u;  // where layers go together, one that stays keeps all
    for (const Allowed& other : groups)
      if (&other == &u || (together && other.kind == u.kind)) {
        price += other.price;
        if (other.kept.size() < least->kept.size()) least = &other;
      }
    const auto stored = [&](Index n) { return c.one_width() ? c.options.target.widths.at(u.kind).at(std::size_t(n)) : n; };
    Rungs t{u.kind, {}};
    for (auto n = least->kept.rbegin(); n != least->kept.rend(); ++n) t.spent.push_back(price * double(u.full - stored(*n)));
    tracks.push_back(t);
  }
  return tracks;
}
/// Everything that can be left under the constraints, whatever the scores are.
std::set<double> everything(double dense, const std::vector<Rungs>& tracks) {
  std::set<double> sums{dense};
  for (const Rungs& t : tracks) {
    std::set<double> next;
    for (const double sum : sums)
      for (const double spent : t.spent) next.insert(sum - spent);
    sums = std::move(next);
  }
  return sums;
}
/// What is printed where every layer loses its share: a block of the coarsest kind, in all layers that move at once.
double step_of_shares(const Case& c, const std::vector<Rungs>& tracks) {
  std::map<std::string, double> step;
  const bool apart = c.options.ranking == Ranking::global;
  double most = 0;
  for (const Rungs& t : tracks) {
    double& here = step[c.options.per_cost ? "" : t.kind];
    here = apart ? std::max(here, t.rise()) : here + t.rise();
    most = std::max(most, here);
  }
  return most;
}

/// Of every token, and of every sequence of them: the products of a forward pass.
template <class Model, class Config, class Run>
void check_products(const Config& config, double tokens, double sequences, double once, Run&& run) {
  Dice device;
  Model model(device, config);
  run(model);
  CHECK(device.products > 0);
  CHECK(device.products == tokens * MacBudget{}.count(model) + sequences * once);
}

}  // namespace

TEST_CASE("MACs of a token are the products of a forward pass, without what is done once for a sequence") {
  const std::vector<int> tokens(12, 1);
  const Shape shape{3, 4};
  const auto words = [&](auto& model) { static_cast<void>(model.logits({.tokens = tokens, .shape = shape})); };
  Case c;
  c.config = {.vocab = 11, .hidden = 8, .layers = 2, .heads = 4, .groups = 2, .head_dim = 6, .feed_forward = 10};
  const auto language = [&](auto& model) { static_cast<void>(model.logits(tokens, shape)); };
  check_products<Llamas>(c.config, 12, 0, 0, language);
  check_products<Gpt2s>(c.gpt2(), 12, 0, 0, language);
  check_products<Classifiers>(c.bert(), 12, 3, 8 * 8 + 3 * 8, words);  // a pooler, which is frozen, and a classifier
  using Masked = BertForMaskedLM<Dice, Frozen>;
  Masked::Config masked;
  static_cast<BertConfig&>(masked) = c.bert();
  check_products<Masked>(masked, 12, 0, 0, words);
  using Deberta = DebertaForSequenceClassification<Dice, Frozen>;
  Deberta::Config deberta;
  deberta.vocab = 11, deberta.hidden = 8, deberta.layers = 2, deberta.heads = deberta.groups = 4, deberta.head_dim = 2;
  deberta.feed_forward = 10, deberta.relative = deberta.normed = false, deberta.taps = 3;
  check_products<Deberta>(deberta, 12, 3, 8 * 8 + 2 * 8, words);
  using Images = VitForImageClassification<Dice, Frozen>;
  VitConfig vit;
  vit.hidden = 8, vit.layers = 2, vit.heads = vit.groups = 4, vit.head_dim = 2, vit.feed_forward = 10, vit.grid = {3, 8, 4, 4, 4};
  const std::vector<float> pixels(2 * 3 * 8 * 4);
  // Two patches an image, and a token that is none: what makes a patch a token is not done for it.
  check_products<Images>(vit, 2 * 3, 2, 2 * 8 - 8 * (3 * 4 * 4), [&](auto& model) {
    static_cast<void>(model.logits({.pixels = pixels, .batch = 2, .channels = 3, .height = 8, .width = 4}));
  });
}

TEST_CASE("more than a hundred budgets are hit within the step that is printed, or refused with what can be reached") {
  int hit = 0, refused = 0, refused_seconds = 0, kinds[5] = {}, models[3] = {}, granularities[4] = {}, plain = 0, several = 0, wide = 0;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Case c = roll(seed);
    const PrunerOptions& o = c.options;
    const std::vector<Allowed> groups = allowed_in(c);
    const std::vector<Rungs> tracks = rungs_of(c, groups);
    if (std::none_of(groups.begin(), groups.end(), [](const Allowed& u) { return u.open; })) continue;
    Dice device;
    const double dense = with_model(c, device, [&](auto& model) { return counted_by_hand(model, o.target.budget); });
    const std::set<double> reachable = everything(dense, tracks);
    const double least = *reachable.begin();
    double prunable = 0;
    for (const Allowed& u : groups) prunable += u.open ? u.price * double(u.full) : 0;
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
    ++models[int(c.kind)], ++granularities[int(o.granularity)];
    plain += !c.by_budget(), several += o.exclude.size() > 1, wide += c.one_width();
    const double left = counted_after(c, plan);
    if (c.time > 0) CHECK(std::abs(machine.median(left) - seconds) <= 0.05 * seconds);
    CHECK(left == report.left);
    CHECK(report.dense == dense);
    CHECK(report.least == least);
    CHECK(report.target == doctest::Approx(target).epsilon(1e-12));
    CHECK(std::abs(left - target) <= report.smallest_step);
    CHECK(reachable.count(left) == 1);
    CHECK(plan.groups.size() == groups.size());
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const auto& kept = groups[g].kept;
      CHECK(std::count(kept.begin(), kept.end(), Index(plan.groups[g].kept.size())) == 1);
    }
    if (!c.by_budget() || o.per_cost) {
      CHECK(report.smallest_step == doctest::Approx(step_of_shares(c, tracks)).epsilon(1e-12));
      continue;
    }
    // The step is no larger than it must be: a block of the finest kind, or the widest gap there is.
    double gap = 0, last = least, nearest = 1e300;
    for (const double sum : reachable) gap = std::max(gap, sum - last), last = sum, nearest = std::min(nearest, std::abs(sum - target));
    std::map<std::string, double> finest;
    for (const Rungs& t : tracks) finest[t.kind] = std::max(finest[t.kind], t.rise());
    double fine = 1e300;
    for (const auto& [kind, step] : finest)
      if (step > 0) fine = std::min(fine, step);
    CHECK(report.smallest_step <= (fine < 1e300 ? std::max(gap, fine) : 0) + 1e-9);
    if (o.ranking == Ranking::local) CHECK(std::abs(left - target) <= std::max(nearest, report.smallest_step / 2) + 1e-9);
  }
  CHECK(hit + refused >= 190);
  CHECK(hit >= 100);
  CHECK(refused >= 20);
  CHECK((kinds[0] >= 10 && kinds[1] >= 10 && kinds[2] >= 10 && kinds[3] >= 5 && kinds[4] >= 8));
  CHECK(refused_seconds >= 2);
  for (const int n : models) CHECK(n >= 15);
  for (const int n : granularities) CHECK(n >= 8);
  CHECK((plain >= 30 && several >= 5 && wide >= 10));
}
