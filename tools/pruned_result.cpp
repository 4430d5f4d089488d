// SPDX-License-Identifier: MIT
#include "pruned_result.hpp"

#include <cmath>

#include "granularity.hpp"
#include "numbers.hpp"
#include "requests.hpp"

namespace espalier::tool {
namespace {

json::Value reached_json(const PruneReport& r) {
  return json::Value::object({{"asked", r.asked},
                              {"reached", r.reached},
                              {"smallest_step", r.step},
                              {"parameters_before", r.before},
                              {"parameters_after", r.after},
                              {"prunable", r.prunable},
                              {"removed", r.removed}});
}

}  // namespace

PrunedResult measure_pruned(FitRun& run, const Request& request, const std::vector<Variant>& variants,
                            const Written& written) {
  const Settings& s = request.settings;
  const FitResult& fitted = run.result();
  PrunedResult out;
  std::vector<std::unique_ptr<Engine>> engines;
  std::vector<Engine*> timed;
  const auto open = [&](const std::string& name, const std::string& directory) {
    const TaskRequest task = directory == s.model ? task_request(s) : TaskRequest{};  // what was written says what it is for
    engines.push_back(open_engine(run.placement(), directory, no_adapters(), std::uint64_t(s.seed), task));
    timed.push_back(engines.back().get());
    out.models.push_back({name, timed.back()->facts(), weight_bytes(directory), {}, 0});
  };
  open("dense", s.model);
  out.models[0].evaluation = run.before();
  for (const Variant& v : variants) open(v.name, v.directory);
  out.models[1].evaluation = timed[1]->evaluate(run.val(), evaluation_of(s));
  const auto seconds = latencies(timed, run.val(), s.seq_len, s.runs);
  for (std::size_t m = 0; m < seconds.size(); ++m) out.models[m].latency = seconds[m];

  const Measured &dense = out.models[0], &pruned = out.models[1];
  out.table = comparison(out.models);
  const auto change = changes(dense, pruned);
  const Headline was(dense.evaluation), is(pruned.evaluation);
  const double share = fitted.pruned ? fitted.pruned->reached : 0;
  out.report = run.report((request.verb == Verb::demo ? std::string("The demo transformer") : io::base_name(s.model)) +
                          ", pruned");
  const UnitWord* const units = find_unit_word(s.granularity);
  out.report.summary = format(
      "Fine-tuned {} for {} steps on {}, while {} % of the parameters in its {} were removed in the same run.",
      how_tuned(s), fitted.summary.step, io::base_name(s.data), fixed(100 * share, 1),
      std::string(units != nullptr ? units->what : "weights"));
  if (units == nullptr)
    out.report.summary = format(
        "Fine-tuned {} for {} steps on {}, while {} % of the weights in its blocks became zero in the same run, by the pattern {}. "
        "Zeros are stored: the file is as large as before.",
        how_tuned(s), fitted.summary.step, io::base_name(s.data), fixed(100 * share, 1), s.granularity);
  out.report.tiles = {
      {"Parameters", change[0], with_commas(dense.facts.parameters) + " to " + with_commas(pruned.facts.parameters),
       true},
      {"Latency", change[4], milliseconds(dense.latency) + " to " + milliseconds(pruned.latency),
       pruned.latency < dense.latency},
      {capital(is.name), fixed(is.value, 3), "dense, before tuning: " + fixed(was.value, 3), is.better_than(was)},
      {"File", bytes_text(double(pruned.file_bytes)), "was " + bytes_text(double(dense.file_bytes)), true}};
  // Which units these are, in the numbers of the dense model, is known from the run; the file knows only how many.
  out.report.layers = run.pictured();
  out.report.comparison = out.table;
  out.report.notes = {
      evaluation_protocol(s, run.val_source(), pruned.evaluation) + " The pruned model was also tuned, the dense one was not.",
      latency_protocol(s, run.val()),
      "Parameters and MACs are counted from the tensors, file sizes from the files. MACs: multiplications with "
      "weights for one token, the language head included; a classifier, which works once for a sequence, is not."};
  out.json = json::Value::object({{"out", s.out}, {"layout", written.layout}, {"steps", fitted.summary.step}});
  for (const Measured& m : out.models) out.json.set(m.name, m.json());
  if (fitted.pruned) {
    // What is printed is counted from the model that was read back.
    const PruneReport& r = *fitted.pruned;
    const Target& target = fitted.pruner.target;
    double left = r.left;
    if (std::holds_alternative<ByteBudget>(target.budget)) left = double(written.bytes);
    else if (target.left > 0 && !target.widths.empty()) left = timed[1]->count(target.budget);
    std::optional<LatencyReached> latency;
    if (s.target_latency_ms > 0) {
      latency = LatencyReached{s.target_latency_ms / 1e3, pruned.latency};
      if (!latency->within())
        out.missed = Trouble{Errc::failed,
                             format("the pruned model takes {}, which is not within {} % of {}: the machine is not as it was when models "
                                    "were measured", milliseconds(pruned.latency), 100 * latency->tolerance, milliseconds(latency->asked)),
                             "--target-latency-ms",
                             "the result is in " + s.out + "; with more --runs, on a machine that does nothing else, medians hold still"};
    }
    if (units == nullptr) {
      const std::string reached = format("{} % of the weights were to become zero and {} % did; the smallest step of {} is {} %",
                                         fixed(100 * r.asked, 2), fixed(100 * r.reached, 2), s.granularity, fixed(100 * r.step, 2));
      out.report.notes.push_back(reached + ".");
      if (std::abs(r.reached - r.asked) > r.step / 2 + 1e-9)  // counts are what they have to be wherever bits were chosen
        out.missed = Trouble{Errc::failed, reached + ": scores that were not finite have left masks as they were, as warnings say",
                             "--granularity", "the result is in " + s.out + "; a lower --lr or more --damp may keep scores finite"};
    }
    out.target = target_table(r, fitted.pruner, left, s.macs_at, latency);
    json::Value pruning = reached_json(r);
    pruning.set("granularity", s.granularity);
    pruning.set("budget", target_json(r, left));
    if (run.timed()) pruning.set("latency", latency_json(*run.timed()));
    if (latency) pruning.set("latency_reached", latency->within());
    out.json.set("pruning", pruning);
  }
  out.json.set("stretches", run.log().stretches_json());
  return out;
}

void require_reached(const PrunedResult& result) {
  if (result.missed) throw *result.missed;
}

}  // namespace espalier::tool
