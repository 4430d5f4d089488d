// SPDX-License-Identifier: MIT
#include "trials.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "requests.hpp"

namespace espalier::tool {
namespace {

/// Nobody is told about single steps; somebody may end them.
struct Quiet final : Follower {
  Quiet(const std::function<bool()>& s, Index last) : stop_(s), last_(last) {}
  void started(Index, Index, AnySchedule, Index) override {}
  void on_step(const StepReport& r) override { step_ = r.step; }
  void on_evaluation(const EvaluationReport&) override {}
  void on_compaction(const CompactionReport&) override {}
  void on_checkpoint(const CheckpointReport&) override {}
  void note(const std::string& text) override { notes.push_back(text); }
  bool stop() override { return step_ == last_ || (asked_ = asked_ || stop_()); }
  bool asked() const { return asked_; }

  std::vector<std::string> notes;

 private:
  const std::function<bool()>& stop_;
  Index last_, step_ = -1;
  bool asked_ = false;
};

}  // namespace

json::Value Trial::json() const {
  const auto number = [](double x) { return std::isfinite(x) ? json::Value(x) : json::Value(); };
  json::Value out = json::Value::object({{"criterion", arm.criterion},
                                         {"sparsity", arm.sparsity},
                                         {"seed", arm.seed},
                                         {"reached", reached},
                                         {"parameters", parameters},
                                         {"macs_per_token", macs},
                                         {"loss", number(evaluation.loss)}});
  if (evaluation.perplexity == 0) {
    json::Value metrics = json::Value::object();
    for (const Metric& m : evaluation.metrics) metrics.set(m.name, number(m.value));
    out.set("metrics", metrics), out.set("labels", evaluation.tokens);
  }
  out.set("latency_ms", latency), out.set("dense_latency_ms", dense_latency), out.set("seconds", seconds);
  if (!warnings.empty()) out.set("warnings", warnings);
  return out;
}

Trial Trial::from(const json::Value& v) {
  Trial t;
  t.arm = {v.text("criterion"), v.number("sparsity"), v.index("seed")};
  t.reached = v.number("reached"), t.parameters = v.index("parameters"), t.macs = v.index("macs_per_token");
  const auto number = [](const json::Value& x) { return x.is_null() ? std::nan("") : x.as_double(); };
  t.evaluation.loss = number(v.at("loss"));
  if (const json::Value* const metrics = v.find("metrics")) {
    for (const auto& [name, value] : metrics->members("metrics")) t.evaluation.metrics.push_back({name, number(value)});
    t.evaluation.tokens = v.index("labels");
  } else {
    t.evaluation.perplexity = std::exp(t.evaluation.loss);
  }
  t.latency = v.number("latency_ms"), t.dense_latency = v.number("dense_latency_ms");
  t.seconds = v.number("seconds");
  if (const json::Value* const warnings = v.find("warnings"))
    for (const json::Value& warning : warnings->elements("warnings")) t.warnings.push_back(warning.as_string());
  return t;
}

Trials::Trials(const Request& request, const DataSet& data, const DataSet& val, std::unique_ptr<Engine> dense)
    : request_(request), data_(data), val_(val),
      placement_(placement_for(request.settings)),
      dense_(std::move(dense)) {
  dense_->check(data), dense_->check(val);
  steps_ = steps_of(request.settings, dense_->epoch(data, plan({}).batches).samples);
  shared_ = Index(request.settings.warmup * double(steps_) + 0.5);
}

FitPlan Trials::plan(const Arm& arm) const {
  Request one = request_;
  if (!arm.dense()) one.settings = settings_of(one.settings, arm.criterion), one.settings.sparsity = arm.sparsity;
  one.settings.seed = arm.seed;
  FitPlan p = fit_plan(one, "");
  p.prune = !arm.dense();
  if (p.prune && compacts_live(one.settings)) p.trainer.compact = Compaction::live;
  p.trainer.evaluate_every = 0;
  p.resume.clear();  // a comparison goes on arm by arm
  p.shared_steps = shared_, p.batches.steps = steps_;
  return p;
}

bool Trials::share(Index seed, const std::function<bool()>& stop) {
  if (begin_seed_ == seed) return true;
  const auto engine =
      open_engine(placement_, request_.settings.model, adapter_options(request_.settings), std::uint64_t(seed), task_request(request_.settings));
  need_trainable(engine->facts());
  if (shared_ > 0) {
    Quiet quiet(stop, shared_);
    engine->fit(plan({"", 0, seed}), data_, quiet);
    if (quiet.asked()) return false;
  }
  begin_ = engine->remember(), begin_seed_ = seed;
  return true;
}

std::optional<Trial> Trials::run(const Arm& arm, const std::function<bool()>& stop) {
  const Settings& s = request_.settings;
  if (!share(arm.seed, stop)) return std::nullopt;
  const auto begin = std::chrono::steady_clock::now();
  const auto engine = open_engine(placement_, s.model, adapter_options(s), std::uint64_t(arm.seed), task_request(s));
  engine->recall(*begin_, shared_);
  Quiet quiet(stop, -2);
  const FitResult fitted = engine->fit(plan(arm), data_, quiet);
  if (quiet.asked() && fitted.summary.stopped) return std::nullopt;
  engine->merge();
  engine->compact();
  engine->drop_weight_masks();
  const Facts facts = engine->facts();
  Trial t{.arm = arm, .reached = fitted.pruned ? fitted.pruned->reached : 0, .parameters = facts.parameters, .macs = facts.macs};
  t.evaluation = engine->evaluate(val_, evaluation_of(s));
  const auto seconds = latencies({dense_.get(), engine.get()}, val_, s.seq_len, s.runs);
  t.dense_latency = 1e3 * seconds[0], t.latency = 1e3 * seconds[1];
  t.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  t.warnings = quiet.notes;
  return t;
}

}  // namespace espalier::tool
