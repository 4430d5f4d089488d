// SPDX-License-Identifier: MIT
#include <algorithm>
#include <chrono>
#include <espalier/io/file.hpp>
#include <espalier/io/json_file.hpp>

#include "../comparison_table.hpp"
#include "../fit_run.hpp"
#include "../granularity.hpp"
#include "../interrupt.hpp"
#include "../numbers.hpp"
#include "../options_table.hpp"
#include "../requests.hpp"
#include "../threads.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {
namespace {

/// Results of arms, a line each, as they come: a comparison that was interrupted goes on from here.
class TrialFile {
 public:
  explicit TrialFile(std::string path) : path_(std::move(path)) {}

  std::vector<Trial> read() const {
    std::vector<Trial> trials;
    if (!io::exists(path_)) return trials;
    const std::string text = io::read_file(path_, std::uint64_t{1} << 28);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      if (end == text.size()) break;  // a line that was cut off
      trials.push_back(within(path_, "", [&] { return Trial::from(json::parse(text.substr(at, end - at))); }));
      at = end + 1;
    }
    return trials;
  }
  void write(const std::vector<Trial>& trials) const {
    std::string text;
    for (const Trial& t : trials) text += t.json().dump() + "\n";
    io::write_file_atomically(path_, std::string_view(text));
  }

 private:
  std::string path_;
};

/// What has to be the same in all arms for their numbers to be compared.
json::Value protocol(const Request& request, const Trials& trials, const DataSet& data, const DataSet& val,
                     const std::string& model_hash) {
  const Settings& s = request.settings;
  const EvaluateOptions e = evaluation_of(s);
  return json::Value::object({{"model_sha256", model_hash},
                              {"data_sha256", data.hash()},
                              {"val_sha256", val.hash()},
                              {format("val_{}", val.unit()), val.size()},
                              {"length", e.length},
                              {"stride", e.stride > 0 ? e.stride : e.length},
                              {"steps", trials.steps()},
                              {"shared_steps", trials.shared_steps()},
                              {format("{}_per_step", data.unit()), s.batch * s.accumulate * (std::string(data.unit()) == "tokens" ? s.seq_len : 1)},
                              {"settings", identity_of(request)}});
}

void require_same(const json::Value& now, const json::Value& before, const std::string& run_file) {
  for (const auto& [name, value] : now.members("protocol")) {
    const json::Value* const was = before.find(name);
    if (was != nullptr && name == "settings") {
      require_same(value, *was, run_file);
    } else if (was == nullptr || was->dump() != value.dump()) {
      throw Trouble{Errc::usage,
                    format("the comparison in this directory was made with {} {}, not {}", name, was == nullptr ? "absent" : was->dump(),
                           value.dump()),
                    run_file, "its numbers and new ones cannot stand in one table: choose another --out"};
    }
  }
}

}  // namespace

int compare(const Request& request, const Console& console) {
  need_model(request);
  const Settings& s = request.settings;
  if (s.resume.empty()) check_output(s.out, s.overwrite, {s.model, s.data, s.val, s.config});
  if (s.data.empty()) {
    throw Trouble{Errc::usage, "-d FILE is missing: what should the arms learn from?", "",
                  "token ids (.bin, .npy, .jsonl), or text (.txt, .jsonl)"};
  }
  use_threads(s.threads);
  auto dense = open_engine(placement_for(s), s.model, no_adapters(), std::uint64_t(s.seed), task_request(s));
  const DataSet whole = within("--data", "", [&] { return dense->read(s.data, s.seq_len, document_request(s)); });
  const auto [data, val] = s.val.empty() ? within("--data", "give a --val file", [&] { return whole.split(0.1); })
                                         : std::pair<DataSet, DataSet>(whole, within("--val", "", [&] { return dense->read(s.val, s.seq_len, document_request(s)); }));
  Trials trials(request, data, val, std::move(dense));
  const std::vector<Arm> arms = arms_of(s);
  const Index pruned = Index(arms.size()) - s.seeds;

  console.say(console.bold("espalier compare") + "  " + s.model + (s.out.empty() ? "" : " -> " + s.out));
  console.say(settings_table(request));
  console.say(format("{} arms: {} criteria x {} sparsities x {} seeds, and the dense model tuned alike; {} steps each, the first {} "
                     "shared by the arms of a seed", Index(arms.size()), Index(criteria_of(s).size()), Index(shares_of(s).size()), s.seeds,
                     trials.steps(), trials.shared_steps()));
  if (s.dry_run) {
    const json::Value forecast = json::Value::object({{"dry_run", true}, {"arms", Index(arms.size())}, {"steps", trials.steps()},
                                                      {"shared_steps", trials.shared_steps()}, {"settings", settings_json(request)}});
    console.result(console.json() ? forecast.dump(2) + "\n" : format("nothing was written: --dry-run; {} arms to prune\n", pruned));
    return 0;
  }

  const RunDirectory directory(s.out);
  RunRecord record(request);
  record.data("data", data), record.data("val", val);
  const auto identity = protocol(request, trials, data, val, trials.source_hash());
  record.set("protocol", identity);
  if (s.resume.empty()) directory.open(s.overwrite);
  else require_same(identity, json::read_file(directory / "run.json").at("protocol"), directory / "run.json");
  directory.write("run.json", record.text("running"));
  const TrialFile file(directory / "trials.jsonl");
  std::vector<Trial> done = file.read();

  const Interruptible interruptible;
  const auto begin = std::chrono::steady_clock::now();
  Index number = 0, run_here = 0;
  for (const Arm& arm : arms) {
    ++number;
    if (std::any_of(done.begin(), done.end(), [&](const Trial& t) { return t.arm == arm; })) continue;
    const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const Index left = Index(arms.size()) - number + 1;
    console.status(format("arm {} of {}: {}{}", number, Index(arms.size()), arm.name(),
                          run_here == 0 ? "" : "   " + clock_text(spent / double(run_here) * double(left)) + " left"));
    const auto trial = [&] {
      try {
        return trials.run(arm, [] { return interrupted(); });
      } catch (...) {
        console.end_status();
        Trouble trouble = current_trouble();
        directory.write("run.json", record.text("failed"));
        trouble.where = arm.name() + (trouble.where.empty() ? "" : ", " + trouble.where);
        trouble.hint += (trouble.hint.empty() ? "" : "; ") +
                        format("the arms before it are kept; go on without it: espalier compare --resume {} --criteria …, or --sparsities …", s.out);
        throw trouble;
      }
    }();
    if (!trial) {
      console.end_status();
      directory.write("run.json", record.text("interrupted"));
      console.say(format("interrupted in arm {} of {}; go on with: espalier compare --resume {}", number, Index(arms.size()), s.out));
      return kInterrupted;
    }
    done.push_back(*trial), ++run_here;
    file.write(done);
    console.end_status();
    const Headline is(trial->evaluation);
    console.say(format("{} of {}  {}: {}loss {}, {} % removed, {} s", number, Index(arms.size()), arm.name(),
                       is.lower_is_better ? "" : is.name + " " + fixed(is.value, 4) + ", ", fixed(trial->evaluation.loss, 4),
                       fixed(100 * trial->reached, 2), fixed(trial->seconds, 1)));
    for (const std::string& warning : trial->warnings) console.warn(arm.name() + ": " + warning);
  }

  const Table table = comparison_table(done, s.in_full() ? "(dense, tuned in full)" : "(dense, tuned)");
  const Table paired = paired_table(done);
  std::vector<std::string> notes = {
      evaluation_protocol(s, held_out_source(s, whole), done.front().evaluation),
      format("Held-out data: {} {}, SHA-256 {}.", with_commas(val.size()), val.unit(), val.hash()),
      latency_protocol(s, val) + " Speed: latency of the dense model over that of the compacted one.",
      format("Mean of {} seeds ± half of the 95 % confidence interval (Student's t). A seed decides {}.", s.seeds,
             s.in_full() ? "batches and dropout" : "adapters, batches and dropout"),
      "What leaves: " + (find_unit_word(s.granularity) ? std::string(find_unit_word(s.granularity)->what) + ", for good."
                                                   : "single weights (" + s.granularity + "), which become zeros of the same files."),
      format("Every arm is fine-tuned {}, for {} steps; pruning begins after {}, which the arms of a seed share.", how_tuned(s),
             trials.steps(), trials.shared_steps())};
  if (!paired.rows.empty())
    notes.push_back(format("Differences from {} are taken seed by seed: the arms of a seed share data, batches, adapters and the steps "
                           "before pruning. Below zero is better.", reference_of(done)));
  if (const auto all = criteria_of(s); std::find(all.begin(), all.end(), "random") == all.end())
    notes.push_back("Chance is not among the criteria: --criteria with random would tell what it is worth to choose at all.");
  Report report;
  report.title = "Criteria compared on " + io::base_name(s.model);
  report.summary = format("{} criteria at {} sparsities with {} seeds under one protocol, fine-tuned {}.", Index(criteria_of(s).size()),
                          Index(shares_of(s).size()), s.seeds, how_tuned(s));
  report.command = request.command;
  report.charts = {comparison_chart(done)};
  report.comparison = table, report.paired = paired, report.notes = notes;
  report.settings = shown_settings(request), report.provenance = record.provenance();
  json::Value result = json::Value::object({{"out", s.out}, {"protocol", identity}});
  const Headline by(done.front().evaluation);
  result.set("metric", json::Value::object({{"name", by.name}, {"higher_is_better", !by.lower_is_better}}));
  result.set("rows", comparison_json(done));
  result.set("paired", paired_json(done));
  record.set("result", result);
  directory.write("report.html", report.html());
  directory.write("run.json", record.text("done"));
  console.result(console.json() ? result.dump(2) + "\n" : table.text() + (paired.rows.empty() ? "" : "\n" + paired.text()));
  for (const std::string& note : notes) console.say(console.faint(note));
  console.say("report: " + s.out + "/report.html; every arm: " + s.out + "/trials.jsonl");
  return 0;
}

}  // namespace espalier::tool
