// SPDX-License-Identifier: MIT
#include "../fit_run.hpp"
#include "../numbers.hpp"
#include "../requests.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {

int train(const Request& request, const Console& console) {
  need_model(request);
  const Settings& s = request.settings;
  FitRun run(request, console);
  if (s.dry_run) {
    console.result(console.json() ? run.forecast().dump(2) + "\n" : "nothing was written: --dry-run\n");
    return 0;
  }
  if (!run.fit()) return kInterrupted;
  Measured before{"before", run.dense(), 0, run.before(), 0}, after{"after", run.dense(), 0, {}, 0};
  after.evaluation = run.engine().evaluate(run.val(), evaluation_of(s));
  run.directory().place([&](const std::string& to) { run.engine().save_adapter(to, false); });

  const Table table = comparison({before, after});
  Report report = run.report(io::base_name(s.model) + ", fine-tuned");
  report.summary = format("Low-rank adapters of rank {}, {} steps on {}.", s.rank, run.result().summary.step, s.data);
  const Headline was(before.evaluation), is(after.evaluation);
  report.tiles = {{capital(is.name), fixed(is.value, 3), "was " + fixed(was.value, 3), is.better_than(was)},
                  {"Trainable", brief(double(run.dense().trainable)),
                   "of " + brief(double(run.dense().parameters)) + " parameters", false},
                  {"Adapter", bytes_text(double(weight_bytes(s.out))), "on disk", false}};
  report.comparison = table;
  report.notes = {evaluation_protocol(s, run.val_source(), after.evaluation)};
  const json::Value result = json::Value::object({{"out", s.out},
                                                  {"steps", run.result().summary.step},
                                                  {"trainable", run.dense().trainable},
                                                  {"before", before.json()},
                                                  {"after", after.json()}});
  run.close(result, report);
  if (console.json()) {
    console.result(result.dump(2) + "\n");
  } else {
    console.result(table.text());
  }
  console.say("wrote " + s.out + "  (an adapter: loads with PeftModel.from_pretrained; " + s.out + "/report.html)");
  console.say("next: espalier merge " + s.model + " -a " + s.out + (s.task == "auto" ? "" : " --task " + s.task) + " -o merged");
  return 0;
}

}  // namespace espalier::tool
