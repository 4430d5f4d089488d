// SPDX-License-Identifier: MIT
#include "checks.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "arm.hpp"
#include "gpu.hpp"
#include "granularity.hpp"
#include "joined.hpp"
#include "options_table.hpp"
#include "requests.hpp"
#include "trouble.hpp"

namespace espalier::tool {
namespace {

/// What only low-rank adapters have.
void check_in_full(const Request& request) {
  const Settings& s = request.settings;
  const auto must = [&](bool holds, std::string what, std::string hint) {
    if (!holds) throw Trouble{Errc::usage, std::move(what), "--tuning full", std::move(hint)};
  };
  for (const Option& o : options()) {
    const auto said = request.origin.find(o.name);
    must(is_read(o, s) || said == request.origin.end() || said->second <= Origin::run,
         format("--{} says nothing to weights that learn in full", o.name), "it belongs to --tuning adapters");
  }
  must(s.adapter.empty(), "--adapter starts from a low-rank adapter, which has no place where weights learn in full",
       "espalier merge MODEL -a DIR -o merged, and tune that");
  must(request.verb == Verb::train || s.criterion != "lora",
       format("--criterion lora{} reads the gradients of low-rank adapters, and there are none",
              request.verb == Verb::compare || request.given("criterion") ? "" : ", the default,"),
       "--criterion full reads those of the weights, which are there; or movement, which is as it was published");
}

/// What adapters behind the weight cannot do.
void check_sequential(const Request& request) {
  const Settings& s = request.settings;
  const auto must = [&](bool holds, std::string what, std::string hint) {
    if (!holds) throw Trouble{Errc::usage, std::move(what), "--tuning sequential", std::move(hint)};
  };
  must(s.adapter.empty(), "--adapter starts from one that stands beside the weight: PEFT knows no other", "leave one of them away");
  must(find_unit_word(s.granularity), "a mask on single weights works on one matrix, and an adapter behind it mixes its outputs",
       "prune by groups, or with --tuning adapters");
  must(!s.update_weights, "--update-weights moves W0, and what it makes up for lies behind an adapter that mixes outputs", "leave it away, or use --tuning adapters");
}

/// What is asked of single weights, and what only groups know.
void check_granularity(const Request& request) {
  const Settings& s = request.settings;
  const auto must = [&](bool holds, std::string what, std::string hint = "") {
    if (!holds) throw Trouble{Errc::usage, std::move(what), "--granularity " + request.settings.granularity, std::move(hint)};
  };
  const auto said = [&](const char* option) {
    const auto at = request.origin.find(option);
    return at != request.origin.end() && at->second > Origin::run;
  };
  if (const UnitWord* const units = find_unit_word(s.granularity)) {
    const std::string what(units->what);
    must(s.criterion != "sparsegpt", "--criterion sparsegpt chooses single weights, not " + what,
         "give it a --granularity: unstructured, or n:m such as 2:4");
    must(!said("within"), "--within compares single weights; " + what + " are compared by --ranking");
    must(!s.official || s.normalise == "auto" || s.normalise == "all", "--official normalises over all units, and --normalise says otherwise",
         "leave one of them away");
    must(s.granularity != "layers" || s.normalise == "auto" || s.normalise == "none",
         "--normalise " + s.normalise + " says nothing to layers: one's score is the sum of those of its heads and channels");
    must(!s.official || s.granularity == "groups", "--official prunes heads and channels, not " + what, "leave one of them away");
    must(!s.update_weights || s.granularity != "layers", "no weight that stays can make up for a whole layer", "leave --update-weights away");
    const bool whole = s.granularity == "layers" || s.granularity == "hidden";
    for (const char* option : {"min-heads", "min-channels", "ranking"})
      must(!whole || !said(option), format("--{} says nothing to {}", option, what),
           std::string(option) == "ranking" ? "there is one set of them" : "--layer-floor is the share of them that stays");
    must(!whole || !said("uniform"), "--uniform says nothing to " + what + ": there is one set of them");
    must(s.granularity != "layers" || !said("round-to"), "--round-to says nothing to layers");
    must(units->heads || !said("min-heads"), "--min-heads says nothing to channels: all heads stay");
    must(units->channels || !(said("min-channels") || said("round-to")), "--min-channels and --round-to say nothing to heads: all channels stay");
    must(s.granularity != "queries-free" || s.layout != "compact",
         "key-value heads may keep different numbers of query heads, which --layout compact cannot say",
         "--layout padded fills them up with zeros; with --granularity queries they stay even");
    must(s.granularity != "hidden" || !said("exclude-layers"), what + " run through all layers: --exclude-layers can spare none");
    return;
  }
  const auto pattern = weight_pattern(s);
  for (const char* option : {"sparsity-of", "target-parameters", "target-macs", "macs-at", "target-bytes", "target-latency-ms", "min-heads",
                             "min-channels", "layer-floor", "uniform", "round-to", "ranking", "official", "ema", "normalise"})
    must(!said(option), format("--{} says nothing to single weights", option),
         std::string(option) == "ranking" ? "--within row, projection or model says what they are compared with"
         : std::string(option) == "ema" ? "their scores are those of one step: an average would take a number per weight"
                                        : "it belongs to --granularity groups");
  must(s.criterion != "signed", "--criterion signed adds up over a row or a column and says nothing of single weights",
       "full is the exact one");
  must(s.dropout == 0, "a mask on single weights works on the weight with its adapter in it, which --dropout has none of",
       "train with --dropout 0");
  must(s.criterion != "full" || s.accumulate == 1,
       "--criterion full chooses single weights while backward runs, from one batch, and --accumulate makes several",
       "use a larger --batch, or another criterion");
  must(s.criterion != "full" || pattern->within != Within::model,
       "--criterion full scores one projection after the other while backward runs, and cannot compare them over the model");
  must(s.criterion != "sparsegpt" || pattern->kind != WeightPattern::Kind::blocks,
       "--criterion sparsegpt chooses weight by weight", "unstructured and n:m it can");
  must(s.criterion != "sparsegpt" || s.within == "auto" || s.within == "projection",
       "--criterion sparsegpt compares the weights of some columns of one projection, whatever --within says");
  must(!(s.criterion == "sparsegpt" || s.update_weights) || s.revival == "none",
       "weights that stay make up for those that leave, which then cannot come back", "use --revival none");
  must(pattern->kind != WeightPattern::Kind::n_of_m || s.within == "auto" || s.within == "row",
       "weights of n:m are compared within their m");
  must(!said("sparsity") || std::abs(pattern->share(s.sparsity) - s.sparsity) < 1e-6,
       format("{} removes {} of the weights, and --sparsity says {}", pattern->name(), pattern->share(s.sparsity), s.sparsity),
       "leave --sparsity away, or choose another pattern");
}

/// Which criteria read an option that not all of them do.
const std::vector<std::pair<std::string, std::vector<std::string>>>& readers_of_options() {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> readers{
      {"eta", {"lora"}},
      {"scaled", {"lora"}},
      {"power", {"lora", "full", "signed"}},
      {"input-decay", {"wanda", "obs", "sparsegpt"}},
      {"damp", {"obs", "sparsegpt"}},
      {"update-weights", {"obs"}},
      {"ema", {"lora", "full", "signed", "wanda", "magnitude", "random"}},
  };
  return readers;
}

}  // namespace

void check_criterion(const Request& request) {
  const Settings& s = request.settings;
  const auto must = [&](bool holds, std::string what, std::string hint = "") {
    if (!holds) throw Trouble{Errc::usage, std::move(what), "", std::move(hint)};
  };
  must(s.ema >= 0 && s.ema < 1, format("--ema is {}, expected 0 <= decay < 1", s.ema));
  must(s.input_decay >= 0 && s.input_decay <= 1, format("--input-decay is {}, expected 0 to 1", s.input_decay));
  must(s.damp >= 0, format("--damp is {}, expected at least 0", s.damp));
  must(!s.update_weights || s.input_decay > 0, "--update-weights needs inputs that are remembered: --input-decay is 0");
  must(!s.update_weights || s.revival == "none", "--update-weights cannot be taken back: --revival has to be none");
  if (s.in_full()) check_in_full(request);
  if (s.sequential()) check_sequential(request);
  check_granularity(request);
}

void check(const Request& request) {
  const Settings& s = request.settings;
  const auto must = [&](bool holds, std::string what, std::string hint = "") {
    if (!holds) throw Trouble{Errc::usage, std::move(what), "", std::move(hint)};
  };
  must(s.rank >= 1, format("--rank is {}, expected at least 1", s.rank));
  must(s.dropout >= 0 && s.dropout < 1, format("--dropout is {}, expected 0 <= p < 1", s.dropout));
  must(s.alpha != 0, "--alpha is 0: the adapters would change nothing");
  must(s.sparsity >= 0 &&
               s.sparsity<1, format("--sparsity is {}, expected a share of at least 0 and below 1", s.sparsity),
                          s.sparsity> 1 &&
               s.sparsity < 100
           ? format("for {} percent write --sparsity {}", s.sparsity, s.sparsity / 100)
           : "");
  must(s.target_parameters >= 0 && s.target_macs >= 0 && s.target_bytes >= 0 && s.target_latency_ms >= 0 && s.macs_at >= 0,
       "--target-parameters, --target-macs, --macs-at, --target-bytes and --target-latency-ms are not negative");
  std::string how_much = request.given("sparsity") || s.sparsity_of == "all" ? "sparsity" : "";
  for (const auto& [name, given] : {std::pair<const char*, bool>{"target-parameters", s.target_parameters > 0},
                                    {"target-macs", s.target_macs > 0},
                                    {"target-bytes", s.target_bytes > 0},
                                    {"target-latency-ms", s.target_latency_ms > 0}}) {
    if (!given) continue;
    must(how_much.empty(), format("--{} and --{} both say how much", how_much, name), "give one of them");
    how_much = name;
  }
  must(s.macs_at == 0 || s.target_macs > 0 || s.target_latency_ms > 0, "--macs-at says how --target-macs counts, which is not given");
  must(s.target_latency_ms == 0 || s.runs >= 20,
       format("--runs is {}: a latency to be reached is a median of at least 20 runs", s.runs));
  must(s.ranking == "local" || s.layout == "compact" || (s.target_bytes == 0 && s.target_latency_ms == 0),
       "--ranking global leaves layers of different width, which the file fills up to the widest: nothing is gained",
       "with --target-bytes and --target-latency-ms use --ranking local, or --layout compact");
  must(s.min_heads >= 1 && s.min_channels >= 1, "--min-heads and --min-channels are at least 1");
  must(s.layer_floor >= 0 && s.layer_floor <= 1, format("--layer-floor is {}, expected a share between 0 and 1", s.layer_floor));
  must(s.warmup >= 0 && s.cooldown >= 0 && s.warmup + s.cooldown <= 1,
       format("--warmup {} and --cooldown {} are shares of the steps: together at most 1", s.warmup, s.cooldown));
  const std::vector<std::string>& known = find_option("criterion")->choices;
  for (const std::string& c : s.criteria) {
    must(std::find(known.begin(), known.end(), name_of_criterion(c)) != known.end(),
         format("--criteria has '{}', expected some of {}", c, joined(known, ", ")));
  }
  const auto chosen = request.verb == Verb::compare ? criteria_of(s) : std::vector<std::string>{s.criterion};
  // What no criterion reads is not passed over; a resumed run knows all of its settings.
  for (const auto& [option, readers] : readers_of_options()) {
    const auto said = request.origin.find(option);
    if (said == request.origin.end() || said->second <= Origin::run) continue;
    const bool any = std::any_of(chosen.begin(), chosen.end(), [&, &of = readers](const std::string& c) {
      return std::find(of.begin(), of.end(), name_of_criterion(c)) != of.end();
    });
    must(any, format("--{} says nothing to --criterion {}", option, joined(chosen, ", ")), "it belongs to --criterion " + joined(readers, " or "));
  }
  for (const std::string& criterion : chosen) {
    Request one = request;
    std::vector<std::string> said;
    one.settings = settings_of(s, criterion, &said);
    for (const auto& [option, readers] : readers_of_options())
      must(std::find(said.begin(), said.end(), option) == said.end() ||
               std::find(readers.begin(), readers.end(), one.settings.criterion) != readers.end(),
           format("--criteria has '{}', and {} says nothing to {}", criterion, option, one.settings.criterion),
           "it belongs to " + joined(readers, " or "));
    for (const std::string& option : said) one.origin[option] = Origin::command_line;
    check_criterion(one);
  }
  must(s.score_batches >= 1, "--score-batches is below 1");
  must(request.verb != Verb::plan || s.data.empty() || !s.reads_weights_alone(),
       format("--data says nothing to --criterion {}, which reads the weights alone", s.criterion), "leave it away");
  must(!request.given("score-batches") || !s.data.empty(), "--score-batches says how much of --data is read, which is not given");
  must(request.verb != Verb::plan || s.data.empty() || find_unit_word(s.granularity),
       "--data scores units, and --granularity " + s.granularity + " makes single weights zero: there is a score for each of them",
       "leave --data away to see how many");
  must(s.prune_every >= 1, "--prune-every is below 1");
  must(s.round_to >= 1, "--round-to is below 1");
  must(s.steps >= 0 && s.epochs > 0, "--steps and --epochs: there is nothing to do");
  must(s.batch >= 1 && s.accumulate >= 1, "--batch and --accumulate are at least 1");
  must(s.seq_len >= 1 && s.seq_len <= 1 << 20, format("--seq-len is {}, expected 1 to 1048576", s.seq_len));
  must(s.document_end >= -1, format("--document-end is {}, expected the number of a token", s.document_end));
  must(s.lr > 0, "--lr is not above 0");
  must(s.lr_warmup >= 0 && s.clip >= 0 && s.weight_decay >= 0,
       "--lr-warmup, --clip and --weight-decay are not negative");
  must(s.eval_every >= 0 && s.save_every >= 0 && s.log_every >= 0 && s.val_tokens >= 0,
       "--eval-every, --save-every, --log-every and --val-tokens are not negative");
  must(s.keep >= 1, "--keep is below 1: a checkpoint is needed to go on");
  must(s.runs >= 1, "--runs is below 1");
  must(s.seed >= 0, "--seed is negative");
  must(s.seeds >= 1 && s.seeds <= 1000, format("--seeds is {}, expected 1 to 1000", s.seeds));
  must(request.verb != Verb::compare || !shares_of(s).empty(), "--sparsities is empty: there is nothing to compare");
  must(s.threads >= 0 && s.threads <= 4096, format("--threads is {}, expected 0 to 4096", s.threads));
  must(!(s.quiet && s.verbose), "--quiet and --verbose contradict each other");
  if (s.device == "cuda") {
    const CudaState cuda = cuda_state();
    if (!cuda.built)
      throw Trouble{Errc::resources, "--device cuda: this build has no CUDA", "",
                    "build it where nvcc is, with -DESPALIER_CUDA=ON, or leave --device away to compute on the CPU"};
    if (cuda.devices.empty())
      throw Trouble{Errc::resources, "--device cuda: this build has CUDA " + cuda.version + ", but there is no device",
                    cuda.why, "nvidia-smi lists the cards that the driver sees; leave --device away to compute on the CPU"};
  }
}

}  // namespace espalier::tool
