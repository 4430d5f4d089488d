// SPDX-License-Identifier: MIT
#include "../fit_run.hpp"
#include "../numbers.hpp"
#include "../requests.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {
namespace {

json::Value reached_json(const PruneReport& r) {
  return json::Value::object({{"asked", r.asked}, {"reached", r.reached}, {"smallest_step", r.step}, {"parameters_before", r.before},
                              {"parameters_after", r.after}, {"prunable", r.prunable}, {"removed", r.removed}});
}

}  // namespace

int prune(const Request& request, const Console& console) {
  need_model(request);
  const Settings& s = request.settings;
  FitRun run(request, console);
  if (s.dry_run) {
    console.result(console.json() ? run.forecast().dump(2) + "\n" : "nothing was written: --dry-run; espalier plan says what would leave\n");
    return 0;
  }
  if (!run.fit()) return kInterrupted;

  const FitResult& fitted = run.result();
  std::unique_ptr<Engine> trained = run.release();
  trained->merge();
  trained->compact();
  Written written;
  run.directory().place([&](const std::string& to) {
    written = trained->save(to, s.layout, dtype_called_by(s.dtype), false, fitted.plan ? &*fitted.plan : nullptr);
  });
  Measured dense{"dense", run.dense(), weight_bytes(s.model), run.before(), 0}, pruned{"pruned", trained->facts(), weight_bytes(s.out), {}, 0};
  trained.reset();

  // What is measured is what was written.
  const auto base = open_engine(run.storage(), s.model, no_adapters()), small = open_engine(run.storage(), s.out, no_adapters());
  pruned.evaluation = small->evaluate(run.val().tokens(), evaluation_of(s));
  const auto seconds = latencies({base.get(), small.get()}, sample(run.val().tokens(), s.seq_len), s.runs);
  dense.latency = seconds[0], pruned.latency = seconds[1];

  const Table table = comparison({dense, pruned});
  const auto change = changes(dense, pruned);
  const double share = fitted.pruned ? fitted.pruned->reached : 0;
  Report report = run.report("Pruned " + io::base_name(s.model));
  report.summary = format("Fine-tuned with adapters of rank {} for {} steps on {}, and {} % of the prunable parameters removed in the same run.",
                          s.rank, fitted.summary.step, s.data, fixed(100 * share, 1));
  report.tiles = {{"parameters", change[0], with_commas(dense.facts.parameters) + " to " + with_commas(pruned.facts.parameters), true},
                  {"latency", change[4], milliseconds(dense.latency) + " to " + milliseconds(pruned.latency), pruned.latency < dense.latency},
                  {"perplexity", fixed(pruned.evaluation.perplexity, 3), "dense, before tuning: " + fixed(dense.evaluation.perplexity, 3),
                   pruned.evaluation.perplexity < dense.evaluation.perplexity},
                  {"file", bytes_text(double(pruned.file_bytes)), "was " + bytes_text(double(dense.file_bytes)), true}};
  report.layers = pruned.facts.pictured;
  report.comparison = table;
  report.notes = {perplexity_protocol(s, run.val_source()), latency_protocol(s),
                  "Parameters and MACs are counted from the tensors; MACs are multiplications with weights and the language head, for one token."};
  json::Value result = json::Value::object({{"out", s.out}, {"layout", written.layout}, {"steps", fitted.summary.step},
                                            {"dense", dense.json()}, {"pruned", pruned.json()}});
  if (fitted.pruned) result.set("pruning", reached_json(*fitted.pruned));
  run.close(result, report);

  if (fitted.pruned) {
    console.say(format("removed {} % of the prunable parameters (asked: {} %; smallest step: {} %)", fixed(100 * share, 2),
                       fixed(100 * fitted.pruned->asked, 2), fixed(100 * fitted.pruned->step, 2)));
  }
  console.result(console.json() ? result.dump(2) + "\n" : table.text());
  for (const std::string& note : report.notes) console.say(console.faint(note));
  for (const std::string& note : written.notes) console.say("note: " + note);
  console.say("wrote " + s.out + "  (layout: " + written.layout + "; loads with AutoModelForCausalLM.from_pretrained; " + s.out + "/report.html)");
  console.say("next: espalier eval " + s.out + " -d " + (s.val.empty() ? s.data : s.val));
  return 0;
}

}  // namespace espalier::tool
