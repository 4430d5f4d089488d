// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/prune/event_clock.hpp>
#include <espalier/prune/plan.hpp>
#include <espalier/prune/pruned_weights.hpp>
#include <espalier/prune/schedule.hpp>
#include <espalier/prune/select_weights.hpp>
#include <espalier/prune/weight_importance.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// Scores single weights while a model is trained, and makes the lowest zero as the schedule goes on, adapter included:
/// W = (W0 + s B A)∘M.
///
///   WeightPruner pruner(model, MagnitudeImportance{}, WeightPattern::n_of_m(2, 4),
///                       CubicSchedule{.begin = 40, .end = 360, .sparsity = 0.5});
///   for (batch) { model.loss(batch);  clip;  pruner.step();  optimizer.step(); }
///
/// Beside Pruner and with its verbs. Projections of blocks take part, not embeddings and heads. Scores are not smoothed, for
/// that would take a number per weight: they are those of the step in which an event falls, whole accumulated batch
/// included; a score that is a sum over steps by nature (movement) keeps one. Exact scores choose while backward runs, and
/// so from one batch: they refuse accumulation, and the whole model as a comparison. A score that is not finite leaves its
/// projection's bits alone, and is told in warnings(). Masked weights stay in memory: a file holds zeros for them.
template <class Model, WeightImportance Score, class Schedule>
class WeightPruner {
 public:
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;
  using Projection = typename Model::Projection;

  WeightPruner(Model& model, Score importance, WeightPattern pattern, Schedule schedule, WeightPrunerOptions options = {})
      : model_(model), importance_(importance), pattern_(pattern), schedule_(schedule), options_(std::move(options)) {
    check();
    entries_ = pruned_weights(model_, options_, this);
    for (Entry& e : entries_) prepare(e);
    flags_ = Flags(device(), Index(entries_.size()));
    count();
    watch();
  }
  ~WeightPruner() { unwatch(); }
  WeightPruner(const WeightPruner&) = delete;
  WeightPruner& operator=(const WeightPruner&) = delete;

  /// Returns the share of the weights taking part that are zero now, as counted from the bits.
  double step() {
    ++clock_.step;
    if (event_due(clock_.step)) choose();
    forget();
    watch();
    return report_.reached;
  }

  Index steps() const { return clock_.step; }
  /// What has been asked for and what is reached, counted from the bits. Zeros count as removed.
  PruneReport report() {
    count();
    return report_;
  }
  const std::vector<std::string>& warnings() const { return warnings_; }
  const WeightPrunerOptions& options() const { return options_; }

  /// Whether weights that stay make up for those that leave: the base is then not what it was.
  bool changes_weights() const {
    if constexpr (kChooses) return true;
    else if constexpr (requires { importance_.update; }) return importance_.update;
    else return false;
  }

  /// How many weights of which projection are zero, and why.
  Plan plan() {
    Plan plan;
    const ToldPlan told{plan};
    importance_.settings(told), schedule_.settings(told);
    told("granularity", "weights"), told("pattern", pattern_.name()), told("within", name_of(pattern_.within));
    told("every", format("{}", options_.every));
    told("revival", options_.revival == Revival::none ? "none" : options_.revival == Revival::ema ? "ema" : "straight_through");
    told("step", format("{}", clock_.step));
    for (const Entry& e : entries_)
      plan.weights.push_back({e.path, e.out * e.in, e.p->weight_mask.removed()});
    return plan;
  }

  /// Everything that a resumed run needs besides the masks, which are the model's.
  template <class F>
  void visit_state(F&& f) {
    std::vector<double> clock{double(clock_.step), clock_.owed ? 1.0 : 0.0};
    f(std::string("pruner.clock"), clock);
    require(clock.size() == 2, "pruner state: {} numbers in pruner.clock, expected 2", clock.size());
    clock_.step = Index(clock[0]), clock_.owed = clock[1] != 0;
    for (Entry& e : entries_) e.visit_state(device(), f, changes_weights());
    count();
    watch();
  }

 private:
  static constexpr bool kSums = requires { Score::sums_over_steps; };
  static constexpr bool kChooses = requires { Score::chooses_weights; };
  static constexpr bool kInputs = reads_inputs(Score::needs);
  static constexpr bool kNow = Score::needs == Needs::backward && !kSums;  ///< chosen while backward runs
  using Flags = typename Device::template Buffer<int>;
  using Entry = PrunedWeight<Model>;
  using Sight = typename Probe<Projection>::Sight;

  Device& device() const { return *model_.run.device; }

  void check() const {
    pattern_.check();
    if constexpr (requires { importance_.check(); }) importance_.check();
    if constexpr (requires { importance_.check(pattern_); }) importance_.check(pattern_);
    require(!changes_weights() || options_.revival == Revival::none,
            "pruner: weights that stay make up for those that leave, which then cannot come back: use revival none");
    require(options_.every >= 1, "pruner: every is {}, expected at least 1", options_.every);
    const double s = schedule_.sparsity;
    require(s >= 0 && s <= 1, "pruner: sparsity is {}, expected 0 <= sparsity <= 1", s);
    require(std::abs(pattern_.share(s) - s) < 1e-6,
            "pruner: {} leaves {} % of the weights, but the schedule ends at sparsity {}; give it {}", pattern_.name(),
            100 * (1 - pattern_.share(s)), s, pattern_.share(s));
    if constexpr (kNow)
      require(pattern_.within != Within::model,
              "pruner: exact scores of single weights exist while backward runs, one projection after the other: they cannot be "
              "compared over the model; compare within a projection or a row");
  }

  void prepare(Entry& e) {
    Projection& p = *e.p;
    if constexpr (Score::needs == Needs::adapter_gradients)
      require(p.adapter.active(),
              "pruner: {}: this importance reads the gradients of an adapter, and it has no active one; give it one, leave it "
              "out with targets, or score by another importance", e.path);
    if constexpr (watches_backward(Score::needs))
      require(!p.probe, "pruner: {} is watched by somebody else already; one pruner at a time", e.path);
    if (changes_weights()) {
      if constexpr (AddsTerm<decltype(p.adapter)>)
        require(!p.adapter.active() || p.adapter.kInput == Axis::columns,
                "pruner: {}: an adapter behind the weight stands between it and what its update aims at; merge it first, or "
                "score by another importance", e.path);
    }
    p.allow_weight_mask(device(), e.path);
    p.weight_mask.straight_through = options_.revival == Revival::straight_through;
    e.chosen = Tensor<Device, std::uint32_t, 2>(device(), p.out(), kernel::bit_words(p.in()));
    if constexpr (kSums) e.sum = Tensor<Device, A, 2>(device(), p.out(), p.in());
    if constexpr (kInputs && !kChooses) e.factor = Tensor<Device, A, 1>(device(), p.in());
    if constexpr (kInputs)
      e.seen = InputStatistics<Device>(device(), p.in(), Score::needs == Needs::input_squares ? InputStatistic::squares
                                                                                              : InputStatistic::products);
  }

  bool event_due(Index t) const { return clock_.due(schedule_, options_.every, t); }
  void watch() {
    if constexpr (!watches_backward(Score::needs)) return;
    const Index next = clock_.step + 1;
    const bool look = kNow ? event_due(next) : kSums || kInputs ? next <= EventClock::last(schedule_) || clock_.owed : false;
    for (Entry& e : entries_) e.p->probe = look ? Probe<Projection>{&e, &observe, Axis::rows, {}} : Probe<Projection>{};
    watching_ = look;
  }
  void unwatch() {
    if (!watching_) return;
    for (Entry& e : entries_) e.p->probe = {};
  }
  void forget() {
    for (Entry& e : entries_) {
      e.passes = 0;
      if constexpr (kInputs) e.seen.age(device(), importance_.decay);
    }
  }

  static void observe(const void* observer, Pass<Device>& pass, const Projection& p, const Probe<Projection>&,
                      const Sight& sight) {
    Entry& e = *const_cast<Entry*>(static_cast<const Entry*>(observer));
    WeightPruner& self = *static_cast<WeightPruner*>(e.pruner);
    const Score& score = self.importance_;
    ++e.passes;
    if constexpr (kInputs) e.seen.add(pass, sight.x);
    if constexpr (kSums) score.accumulate(pass, p, sight, e.sum.view());
    if constexpr (kNow) {
      if (e.passes > 1) return;  // told by step()
      auto scratch = pass.scratch();
      self.clear_flag(e);
      const WeightChoice choice = self.choice(e);
      WeightSelection<Device>(scratch, self.pattern_)
          .choose(std::span(&choice, 1), self.schedule_(self.clock_.step + 1),
                  [&](Pass<Device>& inner, std::size_t) { return score.elements(inner, p, sight); });
    }
  }

  void clear_flag(const Entry& e) {
    device().for_each(1, kernel::Fill<int>{flags_.data() + e.number, 0});
  }
  WeightChoice choice(Entry& e) {
    const bool permanent = options_.revival == Revival::none && e.p->weight_mask;
    return {e.out, e.in, permanent ? e.p->weight_mask.bits() : View<const std::uint32_t, 2>{},
            permanent ? e.p->weight_mask.removed() : 0, e.chosen.view(), flags_.data() + e.number};
  }
  auto scores_of(Pass<Device>& pass, Entry& e) {
    if constexpr (kSums) {
      return [&device = device(), sum = e.sum.view()](Index first, View<A, 2> panel) {
        device.for_each(panel.size(), kernel::Copy<A, A>{sum.rows(first, panel.rows()).data, panel.data});
      };
    } else if constexpr (kInputs) {
      return detail::ElementScores<Device, typename Projection::W>(
          pass, detail::effective_weight(pass, std::as_const(*e.p)),
          kernel::ElementScore<A>{{}, std::as_const(e.factor).view(), A(1), Score::element_power, nullptr, {}});
    } else {
      return importance_.elements(pass, std::as_const(*e.p), e.number);
    }
  }

  void choose() {
    std::vector<std::uint8_t> bad(entries_.size(), 0);
    if constexpr (watches_backward(Score::needs))
      for (const Entry& e : entries_)
        require(e.passes > 0, "pruner.step(): no backward pass since the last step; call model.loss(batch) first");
    if constexpr (kNow) {
      for (const Entry& e : entries_)
        require(e.passes == 1,
                "pruner: exact scores of single weights choose while backward runs, from one batch, and {} were accumulated; "
                "accumulate 1, or score by another importance", e.passes);
      look(bad);
    } else {
      select(bad);
      bool again = false;
      for (const std::uint8_t b : bad) again = again || b != 0;
      if (again && pattern_.within == Within::model) select(bad);  // the others, without those
    }
    clock_.owed = false;
    for (Entry& e : entries_) {
      if (bad[std::size_t(e.number)] == 0) {
        make_up(e);
        e.p->weight_mask.take(device(), std::as_const(e.chosen).view());
        continue;
      }
      clock_.owed = clock_.owed || clock_.step >= EventClock::last(schedule_);
      warnings_.push_back(format("step {}: a score of {} is not finite: its mask waits; {}", clock_.step, e.path, detail::hint_of<Score>()));
    }
    count();
  }
  /// Bits of all whose scores are not known to be bad; what turns out to be is noted.
  void select(std::vector<std::uint8_t>& bad) {
    Pass<Device> pass(model_.run.workspace, {}, model_.run.on_device());
    std::vector<Entry*> some;
    std::vector<WeightChoice> choices;
    for (Entry& e : entries_)
      if (bad[std::size_t(e.number)] == 0) clear_flag(e), some.push_back(&e), choices.push_back(choice(e));
    if constexpr (kChooses) {
      for (std::size_t n = 0; n < some.size(); ++n) {
        auto scratch = pass.scratch();
        const bool done =
            importance_.choose(scratch, *some[n]->p, some[n]->seen.inputs(), pattern_, schedule_(clock_.step), choices[n]);
        some[n]->changed = some[n]->changed || done;
      }
    } else {
      if constexpr (kInputs && !kSums)
        for (Entry* e : some) importance_.column_factors(pass, std::as_const(*e->p), e->seen.inputs(), e->factor.view());
      WeightSelection<Device>(pass, pattern_).choose(choices, schedule_(clock_.step), [&](Pass<Device>& inner, std::size_t n) {
        return scores_of(inner, *some[n]);
      });
    }
    look(bad);
  }
  /// Weights that stay move, where the score asks for it.
  void make_up(Entry& e) {
    if constexpr (requires { importance_.update; }) {
      if (!importance_.update) return;
      Pass<Device> pass(model_.run.workspace, {});
      importance_.leave(pass, *e.p, e.seen.inputs(), std::as_const(e.chosen).view());
      e.changed = true;
    }
  }
  void look(std::vector<std::uint8_t>& bad) {
    std::vector<int> flags(entries_.size());
    device().download(flags_.data(), flags.data(), Index(flags.size()));
    for (std::size_t n = 0; n < flags.size(); ++n) bad[n] = bad[n] != 0 || flags[n] != 0;
  }

  void count() {
    report_ = counted(entries_, pattern_, count_parameters(model_));
    report_.asked = pattern_.share(schedule_.sparsity);
    report_.target = report_.dense - report_.asked * double(report_.prunable);
  }

  Model& model_;
  Score importance_;
  WeightPattern pattern_;
  Schedule schedule_;
  WeightPrunerOptions options_;
  std::vector<Entry> entries_;
  Flags flags_;  // one an entry
  std::vector<std::string> warnings_;
  PruneReport report_;
  EventClock clock_;
  bool watching_ = false;
};

}  // namespace espalier::inline v0
