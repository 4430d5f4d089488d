// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/options.hpp>
#include <espalier/prune/plan.hpp>
#include <espalier/prune/report.hpp>
#include <espalier/train/trainer_options.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace espalier::tool {

/// Any pruner, of units or of single weights or none, whose score is chosen when the program runs: one type, so that
/// trainers do not multiply. A call is a step, so that being virtual costs nothing.
class AnyPruner {
 public:
  AnyPruner() : own_(std::make_unique<Own<NoPruner>>()) {}
  /// Made in its place, for pruners are not moved.
  template <class Pruner, class... Arguments>
  static AnyPruner of(Arguments&&... arguments) {
    AnyPruner any(nullptr);
    any.own_.reset(new Own<Pruner>(std::forward<Arguments>(arguments)...));  // a unique_ptr of each type is slow to compile
    return any;
  }

  double step() { return own_->step(); }
  PruneReport report() { return own_->report(); }
  Plan plan() { return own_->plan(); }
  std::vector<std::string> warnings() const { return own_->warnings(); }
  /// Of a pruner of units; the fallbacks of others.
  PrunerOptions options() const { return own_->options(); }
  bool changes_weights() const { return own_->changes_weights(); }
  void follow() { own_->follow(); }
  void require_final() const { own_->require_final(); }
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
    virtual std::vector<std::string> warnings() const = 0;
    virtual PrunerOptions options() const = 0;
    virtual bool changes_weights() const = 0;
    virtual void follow() = 0;
    virtual void require_final() const = 0;
    virtual void visit_state(const Visitor&) = 0;
  };
  template <class Pruner>
  struct Own final : Verbs {
    Pruner pruner;
    template <class... Arguments>
    explicit Own(Arguments&&... arguments) : pruner(std::forward<Arguments>(arguments)...) {}
    double step() override { return pruner.step(); }
    PruneReport report() override {
      if constexpr (requires { pruner.report(); }) return pruner.report();
      else return {};
    }
    Plan plan() override {
      if constexpr (requires { pruner.plan(); }) return pruner.plan();
      else return {};
    }
    std::vector<std::string> warnings() const override {
      if constexpr (requires { pruner.warnings(); }) return pruner.warnings();
      else return {};
    }
    PrunerOptions options() const override {
      if constexpr (requires(PrunerOptions o) { o = pruner.options(); }) return pruner.options();
      else return {};
    }
    bool changes_weights() const override {
      if constexpr (requires { pruner.changes_weights(); }) return pruner.changes_weights();
      else return false;
    }
    void follow() override {
      if constexpr (requires { pruner.follow(); }) pruner.follow();
    }
    void require_final() const override {
      if constexpr (requires { pruner.require_final(); }) pruner.require_final();
    }
    void visit_state(const Visitor& f) override { pruner.visit_state(f); }
  };
  explicit AnyPruner(std::nullptr_t) {}
  std::unique_ptr<Verbs> own_;
};

}  // namespace espalier::tool
