// SPDX-License-Identifier: MIT
#include "../numbers.hpp"
#include "../pruned_result.hpp"
#include "../requests.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {
namespace {

void write_pruned(FitRun& run, const Request& request, const Console& console) {
  const Settings& s = request.settings;
  run.stage("merging, removing what was masked and writing");
  const FitResult& fitted = run.result();
  std::unique_ptr<Engine> trained = run.release();
  const std::string loader = trained->auto_class();
  trained->merge();
  trained->compact();
  run.picture(trained->facts());
  Written written;
  run.stage("");
  run.directory().place([&](const std::string& to) {
    written = trained->save(to, s.layout, dtype_called_by(s.dtype), false, fitted.plan ? &*fitted.plan : nullptr);
  });
  trained.reset();
  run.stage("measuring what was written");
  const PrunedResult result = measure_pruned(run, request, {{"pruned", s.out}}, written);
  run.close(result.json, result.report);

  if (const std::string line = run.log().stretches_line(); !line.empty()) console.say(line);
  console.result(console.json() ? result.json.dump(2) + "\n" : result.table.text() + "\n" + result.target.text());
  for (const std::string& note : result.report.notes) console.say(console.faint(note));
  for (const std::string& note : written.notes) console.say("note: " + note);
  console.say("wrote " + s.out + "  (layout: " + written.layout + "; loads with " + loader + ".from_pretrained)");
  console.say("report: " + s.out + "/report.html");
  require_reached(result);
  console.say("next: espalier eval " + s.out + " -d " + (s.val.empty() ? s.data : s.val));
}

}  // namespace

int prune(const Request& request, const Console& console) {
  need_model(request);
  const Settings& s = request.settings;
  FitRun run(request, console);
  if (s.dry_run) {
    console.result(console.json() ? run.forecast().dump(2) + "\n"
                                  : "nothing was written: --dry-run; espalier plan says what would leave\n");
    return 0;
  }
  if (!run.fit()) return kInterrupted;
  return run.finish([&] { write_pruned(run, request, console); });
}

}  // namespace espalier::tool
