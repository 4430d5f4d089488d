// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/visit.hpp>
#include <espalier/nn/group.hpp>
#include <espalier/prune/check.hpp>
#include <espalier/prune/event_clock.hpp>
#include <espalier/prune/importance.hpp>
#include <espalier/prune/plan.hpp>
#include <espalier/prune/schedule.hpp>
#include <espalier/prune/scores.hpp>
#include <espalier/prune/select.hpp>

namespace espalier::inline v0 {

/// Scores units while a model is trained, and masks the lowest as the schedule goes on.     LoRAPrune, algorithm 1
///
///   Pruner pruner(model, TaylorImportance{}, EMAMask{.decay = 0.9}, CubicSchedule{.begin = 40, .end = 360});
///   for (batch) { model.loss(batch);  clip;  pruner.step();  optimizer.step(); }
///
/// step() comes after backward and before the optimizer. Every scored step feeds the running scores on the device;
/// events, every `every` steps and where the schedule ends, look at them and choose. A score that is not finite skips
/// that group's update, and is told in warnings(). The pruner refers to the model: neither may move meanwhile.
///
/// official: exactly as the published program does it. Events only at multiples of `every` strictly inside the
/// schedule, so that the last share is never reached; counts are rounded down; scores are normalised over all units;
/// Taylor scores are absolute values of clipped gradients; the first floor(L / 10) layers and the last one stay.
template <class Model, Importance Score, class Mask, class Schedule>
class Pruner {
 public:
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;

  Pruner(Model& model, Score importance, Mask mask, Schedule schedule, PrunerOptions options = {})
      : model_(model), importance_(importance), mask_(mask), schedule_(schedule), options_(std::move(options)),
        scores_(by(model, options_.granularity)) {
    if (options_.official) {
      options_.normalise = Normalise::all;
      if constexpr (requires { importance_.as_official(); }) importance_ = importance_.as_official();
    }
    if constexpr (requires { Score::normalise; })
      if (options_.normalise == Normalise::automatic) options_.normalise = Score::normalise;
    if (options_.granularity == Granularity::layers && options_.normalise == Normalise::automatic)
      options_.normalise = Normalise::none;
    if (options_.normalise == Normalise::automatic)
      options_.normalise = options_.ranking == Ranking::local ? Normalise::alive : Normalise::none;
    check(options_, schedule_.sparsity);
    if constexpr (requires { importance_.check(); }) importance_.check();
    require(!changes_weights() || options_.granularity != Granularity::layers,
            "pruner: no weight that stays can make up for a whole layer: leave update off, or prune by another granularity");
    require(!changes_weights() || options_.revival == Revival::none,
            "pruner: weights that make up for units cannot take that back: revival has to be none");
    scores_.prepare_for(importance_);
    candidates_ = scores_.units().candidates(options_);
    check(options_, candidates_);
    price();
    range_ = range_of(candidates_, espalier::count(options_.target.budget, model_), by_budget(), options_);
    count();
    check_reachable(report_, options_);
    watch();
  }
  ~Pruner() { scores_.unwatch(), scores_.tell_masks(false); }
  Pruner(const Pruner&) = delete;
  Pruner& operator=(const Pruner&) = delete;

  /// Returns the share of prunable parameters that is masked or gone now, as counted from the tensors.
  double step() {
    refresh();
    ++clock_.step;
    const bool due = scores_due(clock_.step), event = event_due(clock_.step);
    if (due) scores_.template require_seen<Score>();
    if (kAtEvents ? event : due) scores_.update(importance_, mask_, options_.normalise);
    if (event) choose();
    if (due) scores_.age(importance_);
    watch();
    return report_.reached;
  }

  /// Steps taken.
  Index steps() const { return clock_.step; }
  /// What has been asked for and what is reached, counted from shapes and masks.
  PruneReport report() {
    follow();
    count();
    return report_;
  }
  /// Scores that were not finite and what was done about it, in the order they were met.
  const std::vector<std::string>& warnings() const { return warnings_; }
  const PrunerOptions& options() const { return options_; }
  /// Whether frozen weights change when units leave.
  bool changes_weights() const {
    if constexpr (requires { importance_.update; }) return importance_.update;
    else return false;
  }

  /// What is kept and why.
  Plan plan() {
    follow();
    Plan plan;
    const ToldPlan told{plan};
    importance_.settings(told), mask_.settings(told), schedule_.settings(told);
    tell(options_, told);
    told("step", format("{}", clock_.step));
    scores_.look();
    plan.groups = scores_.units().plan();
    return plan;
  }

  /// After a compaction between two steps: scores follow their units, and the next backward pass is watched again.
  void follow() {
    if (refresh()) watch();
  }
  /// Refuses options with which a run that masked units leave would choose others than one in which they stay.
  void require_final() const {
    require(options_.granularity != Granularity::layers || !reads_inputs(Score::needs),
            "pruner: this score remembers the inputs of every layer, also of those that are masked, so that none may leave during "
            "the run; compact when the run has ended");
    require(options_.revival == Revival::none,
            "pruner: with revival '{}' a masked unit can come back, so that none may leave during the run; use revival "
            "'none', or compact when the run has ended",
            name_of(options_.revival));
    require(options_.normalise != Normalise::all,
            "pruner: scores are normalised over all units, masked ones too{}, so that none may leave during the run; "
            "normalise over those alive, or compact when the run has ended",
            options_.official ? " (the official preset does so)" : "");
  }

  /// Everything that a resumed run needs: f(name, numbers) may read or replace the numbers, never how many there are.
  template <class F>
  void visit_state(F&& f) {
    follow();
    std::vector<double> clock{double(clock_.step), clock_.owed ? 1.0 : 0.0, options_.target.left};  // a target may have been measured
    f(std::string("pruner.clock"), clock);
    require(clock.size() == 3, "pruner state: {} numbers in pruner.clock, expected 3", clock.size());
    clock_.step = Index(clock[0]), clock_.owed = clock[1] != 0, options_.target.left = clock[2];
    scores_.look();
    scores_.units().visit_state(*model_.run.device, f, options_.revival == Revival::straight_through);
    scores_.restore();
    scores_.visit_inputs(f, changes_weights());
    count();
    watch();
  }

 private:
  static Model& by(Model& model, Granularity granularity) {
    detail::prune_by(model, granularity);
    return model;
  }
  static constexpr bool kAtEvents = requires { Score::at_events; };
  bool event_due(Index t) const {
    const double s = schedule_(t);
    if (options_.official) return t % options_.every == 0 && s > schedule_.initial && s < schedule_.sparsity;
    return clock_.due(schedule_, options_.every, t);
  }
  bool scores_due(Index t) const {
    return event_due(t) || (t <= EventClock::last(schedule_) && t % options_.score_every == 0);
  }
  void watch() {
    if constexpr (watches_backward(Score::needs)) {
      if (scores_due(clock_.step + 1)) scores_.watch(importance_); else scores_.unwatch();
    }
  }
  /// Units have left for good: everything that is kept per unit follows.
  bool refresh() {
    if (scores_.units().current()) return false;
    scores_.rebuild();
    candidates_ = scores_.units().candidates(options_);
    price();
    count();
    return true;
  }

  bool by_budget() const { return options_.target.left > 0 || options_.of == SparsityOf::all; }
  Goal goal(double share) const {
    // The step is that of the dense model at every event, or how much leaves would hang on how often units leave.
    Goal goal{.share = share, .by_budget = by_budget(), .whole = options_.official, .step = range_.step};
    if (goal.by_budget && schedule_.sparsity > 0)
      goal.spent = (range_.dense - report_.target) * share / schedule_.sparsity;
    return goal;
  }

  void choose() {
    scores_.download(candidates_, [&](const std::string& group, Index times, bool now) {
      warnings_.push_back(
          format("step {}: {} of the scores of {} since the last event {} not finite: its running score "
                 "{}; {}",
                 clock_.step, times, group, times == 1 ? "was" : "were",
                 now ? "was left alone and its mask waits" : "skipped these steps", detail::hint_of<Score>()));
    });
    clock_.owed = false;
    if (options_.uniform)  // what goes together waits together
      for (Candidates& c : candidates_)
        for (const Candidates& other : candidates_) c.skipped = c.skipped || (other.kind == c.kind && other.skipped);
    for (const Candidates& c : candidates_) clock_.owed = clock_.owed || (c.skipped && !c.excluded && clock_.step >= EventClock::last(schedule_));
    scores_.units().look(candidates_);
    std::vector<std::vector<std::uint8_t>> before;
    for (const Candidates& c : candidates_) before.push_back(c.alive);
    Selection(candidates_, options_).choose(goal(schedule_(clock_.step)), goal(schedule_.sparsity));
    scores_.units().apply(*model_.run.device, candidates_, options_.revival == Revival::straight_through);
    if constexpr (requires { importance_.update; })
      if (importance_.update) scores_.leave(importance_, before);
    count();
  }

  void price() {
    const auto prices = espalier::prices(options_.target.budget, model_);
    for (std::size_t g = 0; g < prices.size(); ++g) candidates_[g].price = prices[g];
  }
  void count() {
    scores_.units().look(candidates_);
    report_ = counted(candidates_, count_parameters(model_));
    const double leaves = schedule_.sparsity * (options_.of == SparsityOf::all ? range_.dense : range_.prunable);
    report_.counts = name_of(options_.target.budget);
    report_.dense = range_.dense, report_.least = range_.least, report_.smallest_step = range_.step;
    report_.target = options_.target.left > 0 ? options_.target.left : range_.dense - leaves;
    report_.left = left_in(candidates_, range_, options_);
    const double prunable = std::max(range_.prunable, 1.0);
    report_.step = range_.step / prunable;
    report_.asked = by_budget() ? (report_.dense - report_.target) / prunable : schedule_.sparsity;
  }

  Model& model_;
  Score importance_;
  Mask mask_;
  Schedule schedule_;
  PrunerOptions options_;
  Scores<Model> scores_;
  std::vector<Candidates> candidates_;
  std::vector<std::string> warnings_;
  PruneReport report_;
  Range range_;
  EventClock clock_;
};

}  // namespace espalier::inline v0
