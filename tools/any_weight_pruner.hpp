// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/weight_pruner.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "any_schedule.hpp"

namespace espalier::tool {

/// A pruner of single weights whose score is chosen when the program runs: one type, so that trainers do not multiply. A
/// call is a step, so that being virtual costs nothing.
template <class Model>
class AnyWeightPruner {
 public:
  template <class Score>
  AnyWeightPruner(Model& model, const Score& score, const WeightPattern& pattern, const AnySchedule& schedule,
                  const WeightPrunerOptions& options)
      : own_(std::make_unique<Own<Score>>(model, score, pattern, schedule, options)) {}

  double step() { return own_->step(); }
  PruneReport report() { return own_->report(); }
  Plan plan() { return own_->plan(); }
  const std::vector<std::string>& warnings() const { return own_->warnings(); }
  bool changes_weights() const { return own_->changes_weights(); }
  template <class F>
  void visit_state(F&& f) {
    own_->visit_state(std::ref(f));
  }

 private:
  using Visitor = std::function<void(const std::string&, std::vector<double>&)>;
  struct Verbs {
    virtual ~Verbs() = default;
    virtual double step() = 0;
    virtual PruneReport report() = 0;
    virtual Plan plan() = 0;
    virtual const std::vector<std::string>& warnings() const = 0;
    virtual bool changes_weights() const = 0;
    virtual void visit_state(const Visitor&) = 0;
  };
  template <class Score>
  struct Own final : Verbs {
    WeightPruner<Model, Score, AnySchedule> pruner;
    Own(Model& model, const Score& score, const WeightPattern& pattern, const AnySchedule& schedule,
        const WeightPrunerOptions& options)
        : pruner(model, score, pattern, schedule, options) {}
    double step() override { return pruner.step(); }
    PruneReport report() override { return pruner.report(); }
    Plan plan() override { return pruner.plan(); }
    const std::vector<std::string>& warnings() const override { return pruner.warnings(); }
    bool changes_weights() const override { return pruner.changes_weights(); }
    void visit_state(const Visitor& f) override { pruner.visit_state(f); }
  };
  std::unique_ptr<Verbs> own_;
};

}  // namespace espalier::tool
