// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#include <map>
#include <string>
#include <vector>

namespace espalier::tool {

enum class Verb : unsigned {
  demo = 1,
  info = 2,
  plan = 4,
  train = 8,
  prune = 16,
  merge = 32,
  eval = 64,
  export_ = 128,
  doctor = 256,
  compare = 512,
};

/// Who said it. What comes later wins.
enum class Origin { fallback, run, file, environment, command_line };

/// Everything a person can ask for: one field an option, in the field's own words. Names are in options_table.cpp.
struct Settings {
  // files
  std::string model, out, data, val, adapter, resume, config, task = "auto";
  bool new_head = false;
  // what learns
  std::string tuning = "adapters";
  Index rank = 8;
  double alpha = 16, dropout = 0;
  std::vector<std::string> targets;
  bool rslora = false;
  std::string init = "peft";
  // pruning
  double sparsity = 0.5;
  std::string sparsity_of = "prunable";
  Index target_parameters = 0, target_macs = 0, target_bytes = 0, macs_at = 0;
  double target_latency_ms = 0;
  Index min_heads = 1, min_channels = 1;
  double layer_floor = 0;
  bool uniform = false;
  std::string criterion = "lora", power = "square", schedule = "cubic", ranking = "local", revival = "none",
              compact = "auto";
  double warmup = 0.1, cooldown = 0.1, ema = 0.9;
  double eta = 1, input_decay = 1, damp = 0.01;
  bool scaled = false, update_weights = false;
  Index prune_every = 10, round_to = 1;
  std::vector<std::string> exclude_layers;
  std::vector<std::string> criteria;  ///< of a comparison
  std::vector<std::string> sparsities = {"0.2", "0.5", "0.8"};
  Index seeds = 5;
  std::string normalise = "auto";
  Index score_batches = 8;  ///< of a plan
  bool official = false;
  std::string granularity = "groups", within = "auto";
  // training
  Index steps = 0, batch = 8, accumulate = 1, seq_len = 256;
  std::string packing = "none";
  Index document_end = -1;
  double epochs = 1, lr = 3e-4, lr_warmup = 0.03, clip = 1, weight_decay = 0;
  std::string lr_schedule = "cosine";
  bool recompute = false;
  // the run
  Index eval_every = 50, save_every = 0, keep = 2, log_every = 0, val_tokens = 0, runs = 21;
  Index seed = 42, threads = 0;
  std::string device = "cpu", weights = "auto";
  // what is written
  std::string format = "safetensors", layout = "automatic", dtype = "auto";
  bool overwrite = false, dry_run = false;
  // what is said
  bool json = false, quiet = false, verbose = false, no_color = false, print_config = false;

  bool in_full() const { return tuning == "full"; }
  bool sequential() const { return tuning == "sequential"; }
  /// Whether the criterion needs no data.
  bool reads_weights_alone() const { return criterion == "magnitude" || criterion == "random"; }
  /// Nothing that PEFT could read is learnt: what is written is a whole model.
  bool writes_model() const { return in_full() || sequential(); }
};

/// A command line, understood.
struct Request {
  Verb verb = Verb::doctor;
  Settings settings;
  std::map<std::string, Origin> origin;  ///< of every option that somebody gave
  std::string command;                   ///< as typed, quoted for a shell
  bool given(const std::string& name) const { return origin.count(name) > 0; }
};

}  // namespace espalier::tool
