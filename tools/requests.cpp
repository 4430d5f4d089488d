// SPDX-License-Identifier: MIT
#include "requests.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "granularity.hpp"
#include "joined.hpp"
#include "options_table.hpp"
#include "run_record.hpp"
#include "trouble.hpp"

namespace espalier::tool {

LowRankOptions adapter_options(const Settings& s) {
  LowRankOptions o;
  o.rank = s.rank, o.alpha = s.alpha, o.dropout = s.dropout, o.rank_stabilised = s.rslora, o.targets = s.targets;
  o.init = s.init == "gaussian" ? AdapterInit::gaussian : AdapterInit::peft;
  return o;
}

std::string how_tuned(const Settings& s) {
  if (!s.in_full()) return format("with {}adapters of rank {}", s.sequential() ? "sequential " : "", s.rank);
  return "in full, every weight of " + (s.targets.empty() ? "the linear maps of the blocks" : joined(s.targets));
}

PrunerOptions pruner_options(const Settings& s) {
  PrunerOptions o;
  o.every = s.prune_every, o.round_to = s.round_to, o.official = s.official;
  o.min_heads = s.min_heads, o.min_channels = s.min_channels, o.layer_floor = s.layer_floor;
  o.normalise = s.normalise == "none"    ? Normalise::none
                : s.normalise == "alive" ? Normalise::alive
                : s.normalise == "all"   ? Normalise::all
                                         : Normalise::automatic;
  o.of = s.sparsity_of == "all" ? SparsityOf::all : SparsityOf::prunable;
  o.ranking = s.ranking == "global" ? Ranking::global : Ranking::local;
  o.revival = s.revival == "none" ? Revival::none : s.revival == "ema" ? Revival::ema : Revival::straight_through;
  for (const std::string& text : s.exclude_layers) {
    Index layer = 0;
    const char* const end = text.data() + text.size();
    const auto [at, bad] = std::from_chars(text.data(), end, layer);
    if (bad != std::errc() || at != end) {
      throw Trouble{Errc::usage, "--exclude-layers has '" + text + "', expected numbers of layers", "",
                    "e.g. --exclude-layers 0,1,-1"};
    }
    o.exclude.push_back(layer);
  }
  o.uniform = s.uniform || s.layout == "uniform";
  if (const UnitWord* const units = find_unit_word(s.granularity)) {
    o.granularity = units->granularity, o.even = units->even;
    o.heads = units->heads, o.channels = units->channels;
  }
  return o;
}

bool compacts_live(const Settings& s) {
  const bool remembers = s.granularity == "layers" && (s.criterion == "wanda" || s.criterion == "obs");
  const bool same_run = s.revival == "none" && !s.official && !remembers && s.normalise != "all";
  if (s.compact == "live" && !same_run) {
    throw Trouble{Errc::usage,
                  remembers    ? "--criterion " + s.criterion + " remembers the inputs of every layer, so that none can leave during the run"
                  : s.normalise == "all" && !s.official
                      ? "--normalise all divides by scores of masked units too, so that none can leave during the run"
                  : s.official ? "--official scores masked units too, so that none can leave during the run"
                             : "--revival " + s.revival + " lets masked units come back, so that none can leave during the run",
                  "--compact live", "use --compact end, or auto"};
  }
  if (s.compact == "live" && !find_unit_word(s.granularity)) {
    throw Trouble{Errc::usage, "--granularity " + s.granularity + " makes single weights zero, and nothing leaves memory",
                  "--compact live", "leave it away"};
  }
  return same_run && find_unit_word(s.granularity) && s.compact != "end";
}

std::optional<WeightPattern> weight_pattern(const Settings& s) {
  if (find_unit_word(s.granularity)) return std::nullopt;
  const Within within = s.within == "row"          ? Within::row
                        : s.within == "model"      ? Within::model
                        : s.within == "projection" ? Within::projection
                        : s.criterion == "wanda" && s.granularity == "unstructured" ? Within::row
                                                                                    : Within::projection;
  try {
    return WeightPattern::called(s.granularity, within);
  } catch (const Error& error) {
    throw Trouble{Errc::usage, error.what(), "--granularity", "groups, heads, channels, queries, queries-free, layers and hidden leave for good; 2:4 keeps 2 of every 4 weights"};
  }
}

TaskRequest task_request(const Settings& s) { return {s.task, s.data, s.adapter, s.new_head}; }
DocumentRequest document_request(const Settings& s) { return {s.packing == "documents", s.document_end}; }

TargetRequest target_request(const Settings& s) {
  return {.parameters = double(s.target_parameters),
          .macs = double(s.target_macs),
          .bytes = double(s.target_bytes),
          .seconds = s.target_latency_ms / 1e3,
          .positions = s.macs_at,
          .layout = s.layout,
          .dtype = dtype_called_by(s.dtype)};
}

Index steps_of(const Settings& s, Index epoch) {
  return s.steps > 0 ? s.steps : std::max<Index>(1, Index(std::llround(s.epochs * double(epoch) / double(s.batch * s.accumulate))));
}

FitPlan fit_plan(const Request& request, const std::string& out) {
  const Settings& s = request.settings;
  FitPlan p;
  p.adamw = {.rate = s.lr, .decay = s.weight_decay};
  p.batches = {.size = s.batch,
               .length = s.seq_len,
               .steps = s.steps,
               .seed = std::uint64_t(s.seed),
               .shuffle = true,
               .accumulate = s.accumulate,
               .packing = s.packing == "documents" ? Packing::documents : Packing::none};
  p.trainer.rate.peak = s.lr;
  p.trainer.rate.shape = s.lr_schedule == "constant" ? RateShape::constant
                         : s.lr_schedule == "linear" ? RateShape::linear
                                                     : RateShape::cosine;
  if (s.lr_warmup < 1) {
    p.warmup_share = s.lr_warmup;
  } else {
    p.trainer.rate.warmup = Index(std::llround(s.lr_warmup));
  }
  p.trainer.max_norm = s.clip;
  p.trainer.non_finite = NonFinite::stop;
  p.trainer.evaluate_every = s.eval_every;
  p.trainer.checkpoint_every = s.save_every;
  p.trainer.keep = s.keep;
  if (s.save_every > 0) p.trainer.checkpoints = out;
  if (request.verb != Verb::demo) p.end_to = out;  // a demo is run again instead
  p.resume = s.resume;
  p.recompute = s.recompute;
  p.prune = request.verb == Verb::prune || request.verb == Verb::demo;
  p.criterion = s.criterion, p.power = s.power, p.ema = s.ema, p.warmup = s.warmup, p.cooldown = s.cooldown;
  p.eta = s.eta, p.scaled = s.scaled, p.input_decay = s.input_decay, p.damp = s.damp;
  p.update_weights = s.update_weights;
  p.sparsity = s.sparsity, p.linear = s.schedule == "linear", p.seed = std::uint64_t(s.seed);
  p.target = target_request(s);
  if (p.target.given()) p.sparsity = 0.5;  // any: the schedule then says which share of the way is gone
  p.latency = {.runs = s.runs};
  p.pruner = pruner_options(s);
  if (p.prune && compacts_live(s)) p.trainer.compact = Compaction::live;
  p.weights = weight_pattern(s);
  if (p.weights) {
    p.sparsity = p.weights->share(p.sparsity);
    p.weight_pruner.every = p.pruner.every, p.weight_pruner.revival = p.pruner.revival, p.weight_pruner.exclude = p.pruner.exclude;
  }
  p.trainer.identity = identity_of(request).dump();
  return p;
}

json::Value identity_of(const Request& request) {
  const Settings& s = request.settings;
  json::Value identity = settings_json(request);
  for (const char* key : {"model", "out", "data", "val", "adapter", "threads", "eval-every", "save-every", "keep",
                          "log-every", "runs", "recompute", "compact", "document-end"})
    identity.erase(key);
  if (request.verb != Verb::compare) identity.erase("val-tokens");  // which a comparison has one answer to
  if (s.packing == "none") identity.erase("packing");  // as runs that knew of no other
  if (!s.new_head) identity.erase("new-head");
  const bool sized = target_request(s).given();  // what is stored is then part of what is asked for
  const UnitWord* const units = find_unit_word(s.granularity);
  const bool by_layer = units != nullptr && units->granularity != Granularity::layers && units->granularity != Granularity::hidden;
  // Layers that keep the same number are chosen otherwise. In which layout they are written may be said anew.
  if (!sized && by_layer && pruner_options(s).uniform) identity.set("layout", "uniform");
  else if (!sized) identity.erase("layout");
  if (!sized || !s.uniform) identity.erase("uniform");
  if (!sized) identity.erase("dtype");
  if (s.normalise == "auto") identity.erase("normalise");  // as it was before there was a choice
  if (request.verb == Verb::compare)
    for (const char* key : {"criteria", "sparsities", "seeds", "seed"}) identity.erase(key);  // each arm says its own
  return identity;
}

std::optional<Dtype> dtype_called_by(const std::string& dtype) {
  if (dtype == "fp32") return Dtype::f32;
  if (dtype == "bf16") return Dtype::bf16;
  if (dtype == "fp16") return Dtype::f16;
  return std::nullopt;
}

void need_trainable(const Facts& facts) {
  if (facts.trainable > 0) return;
  throw Trouble{Errc::usage, "no linear map of the model is named by --targets", "--targets",
                "e.g. q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"};
}

void need_model(const Request& request) {
  if (!request.settings.model.empty()) return;
  const VerbWords& w = words_of(request.verb);
  throw Trouble{Errc::usage, "a " + w.model + " is missing", "",
                "espalier " + w.name + " " + w.model + " ...; espalier " + w.name + " --help has examples"};
}

}  // namespace espalier::tool
