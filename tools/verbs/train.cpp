// SPDX-License-Identifier: MIT
#include "../fit_run.hpp"
#include "../numbers.hpp"
#include "../requests.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {
namespace {

void write_tuned(FitRun& run, const Request& request, const Console& console) {
  const Settings& s = request.settings;
  Measured before{"before", run.dense(), 0, run.before(), 0}, after{"after", run.dense(), 0, {}, 0};
  run.stage("writing what was learnt");
  std::unique_ptr<Engine> trained = run.release();
  Written written;
  if (s.writes_model()) {  // what is measured is what was written
    trained->merge();
    run.directory().place([&](const std::string& to) { written = trained->save(to, "automatic", std::nullopt, false, nullptr); });
    trained.reset();
    trained = open_engine(run.placement(), s.out, no_adapters());
    before.file_bytes = weight_bytes(s.model), after.file_bytes = weight_bytes(s.out);
    after.facts = trained->facts();
  } else {
    run.directory().place([&](const std::string& to) { trained->save_adapter(to, false); });
  }
  run.stage("measuring what was written");
  after.evaluation = trained->evaluate(run.val(), evaluation_of(s));

  const Table table = comparison({before, after});
  Report report = run.report(io::base_name(s.model) + ", fine-tuned");
  report.summary = format("Fine-tuned {}, {} steps on {}.", how_tuned(s), run.result().summary.step, s.data);
  const Headline was(before.evaluation), is(after.evaluation);
  report.tiles = {{capital(is.name), fixed(is.value, 3), "was " + fixed(was.value, 3), is.better_than(was)},
                  {"Trainable", brief(double(run.dense().trainable)),
                   "of " + brief(double(run.dense().parameters)) + " parameters", false},
                  {s.writes_model() ? "File" : "Adapter", bytes_text(double(weight_bytes(s.out))), "on disk", false}};
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
  for (const std::string& note : written.notes) console.say("note: " + note);
  if (s.writes_model()) {
    console.say("wrote " + s.out + "  (a whole model: loads with " + trained->auto_class() + ".from_pretrained; " + s.out + "/report.html)");
    console.say("next: espalier eval " + s.out + " -d " + (s.val.empty() ? s.data : s.val));
    return;
  }
  console.say("wrote " + s.out + "  (an adapter: loads with PeftModel.from_pretrained; " + s.out + "/report.html)");
  console.say("next: espalier merge " + s.model + " -a " + s.out + (s.task == "auto" ? "" : " --task " + s.task) + " -o merged");
}

}  // namespace

int train(const Request& request, const Console& console) {
  need_model(request);
  const Settings& s = request.settings;
  FitRun run(request, console);
  if (s.dry_run) {
    console.result(console.json() ? run.forecast().dump(2) + "\n" : "nothing was written: --dry-run\n");
    return 0;
  }
  if (!run.fit()) return kInterrupted;
  return run.finish([&] { write_tuned(run, request, console); });
}

}  // namespace espalier::tool
