// SPDX-License-Identifier: MIT
#include "fit_run.hpp"

#include <algorithm>
#include <cmath>

#include "data.hpp"
#include "numbers.hpp"
#include "options_table.hpp"
#include "requests.hpp"
#include "threads.hpp"
#include "trouble.hpp"

namespace espalier::tool {

std::string settings_table(const Request& request) {
  const auto pairs = shown_settings(request);
  Table table;
  table.left = true;
  const std::size_t half = (pairs.size() + 1) / 2;
  for (std::size_t i = 0; i < half; ++i) {
    std::vector<std::string> row{"  " + pairs[i].first, pairs[i].second};
    if (i + half < pairs.size()) row.push_back("   " + pairs[i + half].first), row.push_back(pairs[i + half].second);
    table.rows.push_back(row);
  }
  std::string text = table.text();
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

FitRun::FitRun(const Request& request, const Console& console)
    : request_(request), console_(console), directory_(request.settings.out), record_(request) {
  const Settings& s = request.settings;
  if (s.resume.empty()) check_output(s.out, s.overwrite, {s.model, s.data, s.val, s.adapter, s.config});
  if (s.data.empty())
    throw Trouble{Errc::usage, "-d FILE is missing: what should it learn from?", "",
                  "token ids (.bin, .npy, .jsonl), or text (.txt, .jsonl)"};
  use_threads(s.threads);
  for (const auto& file : {std::pair<const char*, const std::string&>{"--data", s.data}, {"--val", s.val}})
    if (!file.second.empty()) within(file.first, "", [&] { static_cast<void>(io::File(file.second).size()); });  // before a model is read
  placement_ = placement_for(s);
  engine_ = open_engine(placement_, s.model, adapter_options(s), std::uint64_t(s.seed), task_request(s));
  const DataSet whole = within("--data", "", [&] { return engine_->read(s.data, s.seq_len, document_request(s)); });
  if (s.val.empty()) {
    auto [first, last] = within("--data", "give a --val file", [&] { return whole.split(0.1); });
    data_ = first, val_ = last;
  } else {
    data_ = whole;
    val_ = within("--val", "", [&] { return engine_->read(s.val, s.seq_len, document_request(s)); });
  }
  val_source_ = held_out_source(s, whole);
  if (!s.adapter.empty()) within("--adapter", "", [&] { engine_->load_adapter(s.adapter); });
  dense_ = engine_->facts();
  need_trainable(dense_);
  within("--data", "", [&] { engine_->check(*data_); });
  within("--val", "", [&] { engine_->check(*val_); });

  plan_ = fit_plan(request, s.out);
  plan_.validation = *val_;
  plan_.evaluate = evaluation_of(s);
  const Epoch epoch = within("--data", "", [&] { return engine_->epoch(*data_, plan_.batches); });
  steps_ = steps_of(s, epoch.samples);
  plan_.batches.steps = steps_;
  record_.data("data", *data_);
  record_.data("val", *val_);
  record_.set("model", json::Value::object({{"directory", s.model}, {"sha256", engine_->source_hash()}}));

  console_.say(console_.bold("espalier " + words_of(request.verb).name) + "  " + s.model +
               (s.out.empty() ? "" : " -> " + s.out));
  console_.say(settings_table(request));
  // What learns in full is part of the model, an adapter stands beside it.
  console_.say(trainable_line(dense_.trainable, dense_.parameters + (placement_.learns == Learns::full ? 0 : dense_.trainable)));
  const bool tokens = std::string(data_->unit()) == "tokens";
  console_.say(format("{} steps of {} {}: {} epochs of {}; held out: {}", steps_,
                      with_commas(s.batch * s.accumulate * (tokens ? s.seq_len : 1)), data_->unit(),
                      fixed(double(steps_ * s.batch * s.accumulate) / double(epoch.samples), 2), s.data, val_source_));
  if (s.packing == "documents") {
    console_.say(format("{} documents packed into {} sequences, {} % full", with_commas(data_->as<TokenFile>().tokens().documents()),
                        with_commas(epoch.samples), fixed(100 * double(epoch.fed) / double(epoch.samples * s.seq_len), 1)));
  }
  if (whole.truncated() > 0) console_.say(cut_line(whole));
  foresee();
}

/// What cannot be reached, or not be written in the end, is refused before anything is trained.
void FitRun::foresee() {
  const Settings& s = request_.settings;
  if (!(plan_.prune || s.writes_model()) || (plan_.target.seconds > 0 && !s.resume.empty())) return;
  if (plan_.target.seconds > 0) {
    console_.say("measuring models of different size");
    plan_.timed = engine_->time_to(plan_);
    console_.say(format("{} models measured: dense {}, least {}; {} MACs per token take {}", plan_.timed->measured,
                        milliseconds(plan_.timed->dense), milliseconds(plan_.timed->least), with_commas(Index(plan_.timed->left)),
                        milliseconds(plan_.timed->seconds)));
  }
  const PruneReport report = engine_->foresee(plan_);
  if (plan_.prune && !plan_.weights) foreseen_ = report;
}

json::Value FitRun::forecast() const {
  json::Value out = json::Value::object(
      {{"dry_run", true},
       {"parameters", dense_.parameters},
       {"trainable", dense_.trainable},
       {"steps", steps_},
       {"tokens_per_step", request_.settings.batch * request_.settings.accumulate * request_.settings.seq_len},
       {"weights", placement_.weights == Storage::bf16 ? "bf16" : "fp32"},
       {"settings", settings_json(request_)}});
  if (foreseen_) out.set("budget", target_json(*foreseen_, foreseen_->left));
  return out;
}

bool FitRun::fit() {
  const Settings& s = request_.settings;
  if (s.resume.empty()) directory_.open(s.overwrite);
  const std::string before = s.resume.empty() ? "" : io::read_file(directory_ / "run.json", std::uint64_t{1} << 28);
  directory_.write("run.json", record_.text("running"));
  log_ = std::make_unique<RunLog>(console_, directory_ / "metrics.jsonl", s.log_every, dense_.parameters, plan_.prune);
  interruptible_.emplace();
  try {
    before_ = engine_->evaluate(*val_, evaluation_of(s));
    if (s.resume.empty()) log_->on_evaluation({0, before_});
    result_ = engine_->fit(plan_, *data_, *log_);
    log_->finish();
  } catch (...) {
    log_->finish();
    // A resume that was refused leaves the record of the run that it did not go on with.
    if (before.empty() || log_->begun()) failed();
    directory_.write("run.json", before);
    throw;
  }
  if (result_.summary.stopped) {
    interrupted_run();
    return false;
  }
  if (result_.summary.skipped > 0)
    console_.warn(format("{} steps were skipped because their gradients were not finite", result_.summary.skipped));
  return true;
}

int FitRun::finish(const std::function<void()>& rest) {
  try {
    rest();
    return 0;
  } catch (const Interrupted&) {
    return interrupted_run();
  } catch (...) {
    if (closed_) throw;
    failed();
  }
}

/// Ends a handler: the error that is being handled goes on, and says what is left of the training.
void FitRun::failed() {
  mark("failed");
  if (result_.summary.step == 0) throw;  // it did not end
  Trouble trouble = current_trouble();
  trouble.hint += (trouble.hint.empty() ? "" : "; ") + way_on();
  throw trouble;
}

void FitRun::stage(const std::string& what) const {
  if (interrupted()) throw Interrupted{};
  if (!what.empty()) console_.say(what);
}

std::string FitRun::way_on() const {
  const std::string verb = "espalier " + words_of(request_.verb).name;
  if (request_.verb == Verb::demo) return "a demo cannot be resumed; start again with: " + verb + " -o " + request_.settings.out + " --overwrite";
  if (result_.checkpoint.empty()) return "no checkpoint could be written; start again with --overwrite";
  return "the training is kept; go on with: " + verb + " --resume " + request_.settings.out;
}

int FitRun::interrupted_run() {
  mark("interrupted");
  console_.say(format("interrupted after step {}", result_.summary.step) +
               (result_.checkpoint.empty() ? "" : "; checkpoint " + result_.checkpoint));
  console_.say(way_on());
  if (console_.json()) {
    json::Value out = json::Value::object({{"status", "interrupted"}, {"step", result_.summary.step}});
    if (!result_.checkpoint.empty()) {
      out.set("checkpoint", result_.checkpoint);
      out.set("resume", "espalier " + words_of(request_.verb).name + " --resume " + request_.settings.out);
    }
    console_.result(out.dump(2) + "\n");
  }
  return kInterrupted;
}

/// How it ended, as far as that can be written: what went wrong is not to be hidden by what goes wrong here.
void FitRun::mark(const std::string& status) {
  try {
    directory_.write("run.json", record_.text(status));
  } catch (const Error& error) {
    console_.warn(format("run.json cannot say that the run has {}: {}", status == "failed" ? "failed" : "been interrupted", error.what()));
  }
}

Report FitRun::report(const std::string& title) const {
  Report r;
  r.title = title;
  r.command = request_.command;
  r.charts = log_->charts();
  r.stretches = log_->stretches();
  r.settings = shown_settings(request_);
  r.provenance = record_.provenance();
  r.provenance.emplace_back("tokens per second", brief(log_->tokens_per_second()));
  return r;
}

void FitRun::close(const json::Value& result, const Report& report) {
  stage("");
  directory_.write("report.html", report.html());
  record_.set("result", result);
  directory_.write("run.json", record_.text("done"));
  closed_ = true;
  if (request_.settings.save_every == 0) directory_.remove_checkpoints();
}

}  // namespace espalier::tool
