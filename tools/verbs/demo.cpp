// SPDX-License-Identifier: MIT
// evaluate -> fine-tune and prune on a second text -> compact -> export -> load again -> the same logits -> report.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "../data.hpp"
#include "../numbers.hpp"
#include "../pruned_result.hpp"
#include "../requests.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {
namespace {

/// The pruned model, tuned, against the dense one, untuned, on the held-out part of the second text. Measured: see
/// docs/cli.md; the bound leaves room for other machines' rounding, not for other settings.
constexpr double kBound = 0.65;

std::string directory_of_this_program() {
  char path[4096];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  return n > 0 ? io::parent(std::string(path, std::size_t(n))) : ".";
}

std::string demo_directory(const std::string& given) {
  const auto good = [](const std::string& d) {
    return io::exists(io::join(d, "config.json")) && io::exists(io::join(d, "text/second.txt"));
  };
  if (!given.empty()) {
    if (good(given)) return given;
    throw Trouble{Errc::bad_input, "there is no config.json and text/second.txt", given,
                  "leave the argument away to use the checkpoint that comes with espalier"};
  }
  for (const std::string& d :
       {std::string(ESPALIER_DEMO_DIR), io::join(directory_of_this_program(), ESPALIER_DEMO_INSTALLED)})
    if (good(d)) return d;
  throw Trouble{Errc::bad_input, "the demo's checkpoint is not there", ESPALIER_DEMO_DIR,
                "name its directory: espalier demo MODEL"};
}

struct Difference {
  Index numbers = 0, different = 0;
  double most = 0;
};

Difference compare(const std::vector<float>& a, const std::vector<float>& b) {
  Difference d{Index(a.size()), a.size() == b.size() ? 0 : Index(a.size()), 0};
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i] == b[i]) continue;
    ++d.different, d.most = std::max(d.most, std::abs(double(a[i]) - double(b[i])));
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) d.most = INFINITY;
  }
  return d;
}

/// Whether nobody changed what the bound was measured with.
bool standard(const Request& request) {
  const std::vector<std::string> harmless = {"out",  "overwrite", "threads",   "json",   "quiet",  "verbose",
                                             "runs", "no-color",  "log-every", "config", "device", "recompute"};
  return std::all_of(request.origin.begin(), request.origin.end(), [&](const auto& given) {
    return std::find(harmless.begin(), harmless.end(), given.first) != harmless.end();
  });
}

void write_and_judge(FitRun& run, const Request& request, bool judged, const Console& console) {
  const Settings& s = request.settings;
  run.stage("merging, removing what was masked, writing and loading again");
  const FitResult& fitted = run.result();
  std::unique_ptr<Engine> trained = run.release();
  const Dtype dtype = dtype_called_by(s.dtype).value_or(stored_dtype(s.model));
  const std::string padded = run.directory() / "padded";
  Written written;
  trained->merge();
  trained->compact();
  run.picture(trained->facts());
  run.directory().place([&](const std::string& to) {
    written = trained->save(to, s.layout, dtype, false, fitted.plan ? &*fitted.plan : nullptr);
  });
  trained->save(padded, "padded", dtype, false, fitted.plan ? &*fitted.plan : nullptr);

  // The rounded model and its file are the same function to the last bit; padding adds zeros, which may regroup sums.
  trained->round(dtype);
  const auto tokens = sample(run.val().as<TokenFile>().tokens(), s.seq_len);
  const Shape shape{1, s.seq_len};
  const auto expected = trained->logits(tokens, shape);
  const auto reloaded = compare(expected, open_engine(run.placement(), s.out, no_adapters())->logits(tokens, shape));
  const auto filled = compare(expected, open_engine(run.placement(), padded, no_adapters())->logits(tokens, shape));
  trained.reset();

  run.stage("measuring what was written");
  PrunedResult result = measure_pruned(run, request, {{"pruned", s.out}, {"padded", padded}}, written);
  const double dense = result.models[0].evaluation.perplexity, pruned = result.models[1].evaluation.perplexity;
  // Where activations are bf16, sums that are grouped anew round anew at every layer.
  const bool coarse = run.placement().cuda && run.placement().weights == Storage::bf16;
  const bool within_bound = pruned <= kBound * dense,
             same = reloaded.different == 0 && filled.most <= (coarse ? 0.25 : 1e-4);
  const std::string reload_line =
      format("reload: {} of {} logits differ from the rounded model in memory; padded: largest difference {}",
             reloaded.different, with_commas(reloaded.numbers), printed("%.1e", filled.most));
  const std::string bound_line =
      format("bound: perplexity {} after tuning and pruning, at most {} x {} = {} allowed{}", fixed(pruned, 3),
             fixed(kBound, 2), fixed(dense, 3), fixed(kBound * dense, 3),
             judged ? within_bound ? ": kept" : ": NOT KEPT" : " (with the default settings; not judged here)");
  result.report.notes.push_back(reload_line + ".");
  result.report.notes.push_back(bound_line + ".");
  result.report.notes.push_back(
      "Padded: the layout for layers of different width, zero-filled to the widest. Here all layers have one width.");
  result.json.set("reload",
                  json::Value::object({{"logits", reloaded.numbers},
                                       {"different", reloaded.different},
                                       {"padded_largest_difference",
                                        std::isfinite(filled.most) ? json::Value(filled.most) : json::Value()}}));
  result.json.set(
      "bound", json::Value::object(
                   {{"factor", kBound}, {"perplexity", kBound * dense}, {"judged", judged}, {"kept", within_bound}}));
  run.close(result.json, result.report);

  console.result(console.json() ? result.json.dump(2) + "\n"
                                : "\n" + result.table.text() + "\n" + reload_line + "\n" + bound_line + "\n" +
                                      "wrote   " + s.out + "   (loads with AutoModelForCausalLM.from_pretrained)\n" +
                                      "report  " + s.out + "/report.html\n");
  console.say("next: espalier plan " + s.out + "    or your own: espalier prune MODEL -d DATA -o OUT");
  require_reached(result);
  if (!same)
    throw Trouble{Errc::failed, "the model that was read back is not the one that was written", s.out,
                  "please report this with the output of espalier doctor"};
  if (judged && !within_bound)
    throw Trouble{Errc::failed, "the perplexity left its bound", s.out,
                  "please report this with the output of espalier doctor"};
}

}  // namespace

int demo(const Request& asked, const Console& console) {
  Request request = asked;
  Settings& s = request.settings;
  s.model = demo_directory(s.model);
  s.data = io::join(s.model, "text/second.txt"), s.val = io::join(s.model, "text/second-val.txt");
  FitRun run(request, console);
  if (s.dry_run) {
    console.result(console.json() ? run.forecast().dump(2) + "\n" : "nothing was written: --dry-run\n");
    return 0;
  }
  if (!run.fit()) return kInterrupted;
  return run.finish([&] { write_and_judge(run, request, standard(asked), console); });
}

}  // namespace espalier::tool
