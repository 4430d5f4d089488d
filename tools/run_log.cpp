// SPDX-License-Identifier: MIT
#include "run_log.hpp"

#include <algorithm>
#include <cmath>
#include <espalier/io/file.hpp>

#include "interrupt.hpp"
#include "numbers.hpp"
#include "statistics.hpp"
#include "trouble.hpp"

namespace espalier::tool {
namespace {

json::Value finite(double x) { return std::isfinite(x) ? json::Value(x) : json::Value(); }

/// At most `most` of them, so that a report of a long run stays small.
template <class T>
std::vector<T> thinned(const std::vector<T>& all, std::size_t most) {
  if (all.size() <= most) return all;
  std::vector<T> some;
  for (std::size_t i = 0; i < most; ++i) some.push_back(all[i * (all.size() - 1) / (most - 1)]);
  return some;
}

}  // namespace

double Stretch::median() const { return tool::median(ms); }

RunLog::RunLog(const Console& console, std::string metrics_path, Index log_every, Index parameters, bool prunes)
    : console_(console),
      path_(std::move(metrics_path)),
      log_every_(log_every),
      parameters_(parameters),
      prunes_(prunes) {
  stretches_.push_back({1, parameters, 0, {}});
}

RunLog::~RunLog() {
  if (file_ != nullptr) std::fclose(file_);
}

void RunLog::started(Index steps, Index from, AnySchedule schedule, Index prunable) {
  steps_ = steps, from_ = from, schedule_ = schedule, prunable_ = prunable;
  if (log_every_ == 0) log_every_ = std::max<Index>(1, steps / 40);
  if (from > 0) {
    console_.say(format("going on after step {} of {}", from, steps));
    take_up(from);
  }
}

/// What is known of the steps before, and nothing of steps that will be taken again.
void RunLog::take_up(Index from) {
  if (path_.empty() || !io::exists(path_)) return;
  std::string kept;
  const std::string text = io::read_file(path_, std::uint64_t{1} << 32);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string one = text.substr(at, end - at);
    at = end + 1;
    try {
      const json::Value value = json::parse(one, path_);
      if (value.index("step") > from) continue;
      remember(value);
      kept += one + "\n";
    } catch (const Error&) {  // a line that was cut off when the run ended
    }
  }
  io::write_file_atomically(path_, std::string_view(kept));
}

void RunLog::remember(const json::Value& line) {
  const double x = double(line.index("step"));
  const auto add = [&](const char* key, std::vector<Point>& to) {
    if (line.given(key)) to.push_back({x, line.number(key)});
  };
  add("loss", loss_), add("val_loss", val_loss_), add("ppl", perplexity_), add("sparsity", sparsity_), add("lr", rate_);
  if (line.given("ms")) stretches_.back().ms.push_back(line.number("ms"));
  if (line.given("bytes")) stretches_.back().bytes = std::max(stretches_.back().bytes, line.index("bytes"));
  if (line.given("compaction"))
    stretches_.push_back({line.index("step") + 1, line.at("compaction").index("params"), 0, {}});
  if (line.given("val_loss")) last_val_ = line.number("val_loss"), has_val_ = true;
}

void RunLog::flush() {
  if (pending_.is_null()) return;
  const json::Value line = std::exchange(pending_, json::Value());
  remember(line);
  if (path_.empty()) return;
  if (file_ == nullptr) file_ = std::fopen(path_.c_str(), "ae");
  const std::string text = line.dump() + "\n";
  if (file_ == nullptr || std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0) {
    throw Trouble{Errc::resources, "metrics cannot be written", path_, "is the disk full?"};
  }
}

void RunLog::on_step(const StepReport& r) {
  flush();
  ++steps_timed_, seconds_ += r.seconds, tokens_ += r.tokens;
  smooth_ = steps_timed_ == 1 ? r.seconds : 0.9 * smooth_ + 0.1 * r.seconds;
  pending_ = json::Value::object(
      {{"step", r.step}, {"loss", finite(r.loss)}, {"lr", finite(r.rate)}, {"grad_norm", finite(r.norm)}});
  if (prunes_) {
    pending_.set("sparsity", finite(r.sparsity));
    pending_.set("params", parameters_ - Index(std::llround(r.sparsity * double(prunable_))));
  }
  pending_.set("tokens_per_s", finite(double(r.tokens) / r.seconds));
  pending_.set("ms", finite(r.seconds * 1e3));
  pending_.set("bytes", r.bytes);
  const bool due = r.step % log_every_ == 0 || r.step == r.steps || r.step == from_ + 1;
  const auto now = Clock::now();
  if (console_.live()) {
    if (due || now - last_status_ > std::chrono::milliseconds(100)) console_.status(line(r)), last_status_ = now;
  } else if (due) {
    console_.say(line(r));
  }
}

std::string RunLog::line(const StepReport& r) const {
  std::string out = format("step {}/{} | loss ", r.step, r.steps) + fixed(r.loss, 3);
  if (has_val_) out += " | val " + fixed(last_val_, 3);
  if (prunes_) out += " | sparsity " + fixed(100 * r.sparsity, 1) + "% | " + bytes_text(double(r.bytes));
  out += " | lr " + printed("%.1e", r.rate) + " | " + printed(smooth_ < 0.01 ? "%.1f ms" : "%.0f ms", smooth_ * 1e3);
  return out + " | " + brief(double(r.tokens) / smooth_) + " tok/s | eta " +
         clock_text(smooth_ * double(r.steps - r.step));
}

void RunLog::on_evaluation(const EvaluationReport& r) {
  if (pending_.is_null()) pending_ = json::Value::object({{"step", r.step}});
  pending_.set("val_loss", finite(r.result.loss));
  if (r.result.metrics.empty()) pending_.set("ppl", finite(r.result.perplexity));
  for (const Metric& metric : r.result.metrics) pending_.set(metric.name, finite(metric.value));
  std::string metrics = r.result.metrics.empty() ? " | perplexity " + fixed(r.result.perplexity, 3) : "";
  for (const Metric& metric : r.result.metrics) metrics += " | " + metric.name + " " + fixed(metric.value, 3);
  const bool first = !has_val_;
  last_val_ = r.result.loss, has_val_ = true;
  console_.say(console_.bold(format("step {}{} | val ", r.step, steps_ > 0 ? format("/{}", steps_) : "") +
                             fixed(r.result.loss, 3) + metrics) +
               (first ? console_.faint(format("  ({} {})", with_commas(r.result.tokens), r.result.metrics.empty() ? "tokens" : "labels")) : ""));
}

void RunLog::on_compaction(const CompactionReport& r) {
  if (pending_.is_null()) pending_ = json::Value::object({{"step", r.step}});
  pending_.set("compaction", json::Value::object({{"params", r.after.parameters},
                                                  {"trained", r.after.trained},
                                                  {"bytes_before", r.before.bytes},
                                                  {"bytes_after", r.after.bytes},
                                                  {"ms", finite(r.seconds * 1e3)}}));
  console_.detail(format("step {}: {} of {} parameters are left, {} of {}, in {}", r.step, with_commas(r.after.parameters),
                         with_commas(r.before.parameters), bytes_text(double(r.after.bytes)),
                         bytes_text(double(r.before.bytes)), milliseconds(r.seconds)));
}

Table RunLog::stretches() const {
  Table table;
  if (stretches_.size() < 2) return table;
  table.head = {"from step", "parameters", "memory", "step time"};
  for (const Stretch& s : thinned(stretches_, 16)) {
    if (s.ms.empty()) continue;
    table.rows.push_back({std::to_string(s.from), with_commas(s.parameters), bytes_text(double(s.bytes)), milliseconds(s.median() / 1e3)});
  }
  return table;
}

json::Value RunLog::stretches_json() const {
  auto all = json::Value::array();
  for (const Stretch& s : stretches_) {
    if (s.ms.empty()) continue;
    all.push_back(json::Value::object(
        {{"from_step", s.from}, {"params", s.parameters}, {"bytes", s.bytes}, {"step_ms", s.median()}}));
  }
  return all;
}

std::string RunLog::stretches_line() const {
  std::vector<const Stretch*> seen;
  for (const Stretch& s : stretches_)
    if (!s.ms.empty()) seen.push_back(&s);
  if (seen.size() < 2) return "";
  const Stretch &first = *seen.front(), &last = *seen.back();
  return format("while units left: a step took {}, then {} (medians before the first and after the last of {} events); "
                "memory {}, then {}",
                milliseconds(first.median() / 1e3), milliseconds(last.median() / 1e3), seen.size() - 1,
                bytes_text(double(first.bytes)), bytes_text(double(last.bytes)));
}

void RunLog::on_checkpoint(const CheckpointReport& r) { console_.detail("checkpoint " + r.path); }

void RunLog::note(const std::string& text) { console_.warn(text); }

bool RunLog::stop() { return interrupted(); }

void RunLog::finish() {
  flush();
  console_.end_status();
}

std::vector<Chart> RunLog::charts() const {
  const auto shaded = [&](Chart chart) {
    if (prunes_ && schedule_.end > schedule_.begin)
      chart.shade_from = schedule_.begin, chart.shade_to = schedule_.end, chart.shade = "pruning";
    return chart;
  };
  Chart loss, perplexity, sparsity, rate;
  loss.title = "Loss", loss.unit = "nats";
  loss.curves.push_back({"training", "faint", thinned(loss_, 400)});
  if (!val_loss_.empty()) loss.curves.push_back({"held out", "main", val_loss_, true});
  perplexity.title = "Held-out perplexity";
  perplexity.curves.push_back({"perplexity", "main", perplexity_, true});
  sparsity.title = "Sparsity", sparsity.percent = true, sparsity.from_zero = true;
  sparsity.curves.push_back({"sparsity", "main", thinned(sparsity_, 800), false, true, true});
  rate.title = "Learning rate", rate.from_zero = true;
  rate.curves.push_back({"rate", "second", thinned(rate_, 400)});
  std::vector<Chart> all{shaded(loss)};
  if (perplexity_.size() > 1) all.push_back(shaded(perplexity));
  if (prunes_) all.push_back(sparsity);
  all.push_back(rate);
  return all;
}

}  // namespace espalier::tool
