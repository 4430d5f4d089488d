// SPDX-License-Identifier: MIT
// Every option, said once.
#include "options_table.hpp"

namespace espalier::tool {
namespace {

constexpr unsigned operator|(Verb a, Verb b) { return static_cast<unsigned>(a) | static_cast<unsigned>(b); }
constexpr unsigned operator|(unsigned a, Verb b) { return a | static_cast<unsigned>(b); }
constexpr unsigned kAll = 1023;
constexpr unsigned kFit = Verb::train | Verb::prune | Verb::demo;  // verbs that make one model
constexpr unsigned kLearn = kFit | Verb::compare;                  // … or many
constexpr unsigned kPrune = Verb::prune | Verb::demo;              // … and prune
constexpr unsigned kPlan = kPrune | Verb::plan;
constexpr unsigned kWrite = kLearn | Verb::merge | Verb::export_;
constexpr unsigned kRun = kLearn | Verb::eval | Verb::plan | Verb::merge | Verb::export_ | Verb::doctor;
constexpr unsigned kData = Verb::train | Verb::prune | Verb::eval | Verb::compare;
constexpr unsigned kExport = static_cast<unsigned>(Verb::export_);

// clang-format off
std::vector<Option> make_options() {
  using S = Settings;
  const std::string files = "Files", adapter = "Adapter", pruning = "Pruning", training = "Training", run = "Run",
                    writing = "Result", speaking = "Output";
  return {
      {"out", &S::out, kWrite, files, "DIR",
       "where the result goes; nothing that exists is replaced without --overwrite", {}, {"-o"}},
      {"data", &S::data, kData | Verb::plan, files, "FILE", "tokens: .bin .npy .jsonl; text: .txt .jsonl; with labels: .jsonl, images .npy", {}, {"-d"}},
      {"val", &S::val, Verb::train | Verb::prune | Verb::compare, files, "FILE",
       "held-out data; without it the last 10 % of --data"},
      {"task", &S::task, Verb::train | Verb::prune | Verb::eval | Verb::merge | Verb::export_ | Verb::info | Verb::plan | Verb::compare, files, "NAME",
       "of an encoder, where its config.json leaves it open", {"auto", "classification", "regression", "masked-lm"}},
      {"new-head", &S::new_head, Verb::train | Verb::prune | Verb::compare, files, "",
       "draw the classifier of an encoder anew, for the labels in --data, where its files have one for others", {}, {"--new_head"}},
      {"adapter", &S::adapter, Verb::merge | Verb::eval | Verb::train | Verb::prune | Verb::export_ | Verb::plan,
       files, "DIR",
       "a PEFT adapter directory to start from, or to apply", {}, {"-a"}},
      {"config", &S::config, kAll, files, "FILE",
       "TOML with the same names; [train], [prune] … are for one verb", {}, {"-c"}},
      {"resume", &S::resume, Verb::train | Verb::prune | Verb::compare, files, "DIR",
       "go on from the last good checkpoint of DIR (default: --out), to the same bits", {}, {}, true},

      {"tuning", &S::tuning, kLearn, adapter, "NAME",
       "what learns: low-rank adapters beside the weights; sequential ones, behind them; or in full every weight that would have one (the "
       "latter two in fp32, on the CPU)", {"adapters", "sequential", "full"}},
      {"rank", &S::rank, kLearn | Verb::plan, adapter, "N", "rank of the adapters", {}, {"-r", "--r", "--lora_r", "--lora-r"}},
      {"alpha", &S::alpha, kLearn | Verb::plan, adapter, "X", "scale is alpha / rank", {}, {"--lora_alpha", "--lora-alpha"}},
      {"dropout", &S::dropout, kLearn, adapter, "P",
       "on the input of the adapters, during training", {}, {"--lora_dropout", "--lora-dropout"}},
      {"targets", &S::targets, kLearn | Verb::plan, adapter, "NAMES",
       "linear maps that get an adapter, or learn in full, e.g. q_proj,v_proj; none: all of the blocks", {},
       {"--target_modules", "--target-modules"}},
      {"rslora", &S::rslora, kLearn | Verb::plan, adapter, "", "scale is alpha / sqrt(rank)", {}, {"--use_rslora", "--use-rslora"}},
      {"init", &S::init, kLearn | Verb::plan, adapter, "NAME",
       "how A starts; B starts at zero", {"peft", "gaussian"}, {"--init_lora_weights", "--init-lora-weights"}},

      {"sparsity", &S::sparsity, kPlan, pruning, "X", "share of what may leave that does, e.g. of heads and channels", {},
       {"-s", "--ratio"}},
      {"sparsity-of", &S::sparsity_of, kPlan, pruning, "NAME",
       "--sparsity is a share of the prunable parameters, or of all", {"prunable", "all"}, {"--sparsity_of"}},
      {"target-parameters", &S::target_parameters, kPlan, pruning, "N",
       "parameters to be left in the file, e.g. 60M; instead of --sparsity", {},
       {"--target-params", "--target_params", "--target_parameters"}},
      {"target-macs", &S::target_macs, kPlan, pruning, "N", "MACs per token to be left, e.g. 500M", {}, {"--target_macs"}},
      {"macs-at", &S::macs_at, kPlan, pruning, "N",
       "count the attention of sequences of N tokens in --target-macs; 0: weights only", {}, {"--macs_at"}},
      {"target-bytes", &S::target_bytes, kPlan, pruning, "N",
       "bytes of all tensors in the file, e.g. 120M", {}, {"--target_bytes"}},
      {"target-latency-ms", &S::target_latency_ms, kPlan, pruning, "X",
       "measured time of a forward run over --seq-len tokens on this machine, within 5 %", {}, {"--target_latency_ms"}},
      {"criterion", &S::criterion, kPlan, pruning, "NAME",
       "importance: LoRA-guided, exact Taylor, signed Taylor, movement, |W| |x|, optimal brain surgeon, SparseGPT, |W|, chance",
       {"lora", "full", "signed", "movement", "wanda", "obs", "sparsegpt", "magnitude", "random"}, {"--prune_metric", "--prune-metric"}},
      {"granularity", &S::granularity, Verb::prune | Verb::plan | Verb::compare, pruning, "NAME",
       "what leaves together: groups (heads and channels), heads, channels, queries, queries-free (query heads and channels), layers, hidden; or single "
       "weights: unstructured, 2:4, 4:8, rows, columns, 4x4 ..."},
      {"within", &S::within, Verb::prune | Verb::plan | Verb::compare, pruning, "NAME",
       "single weights are compared within a row, a projection, or the model; auto: projection, for wanda row",
       {"auto", "row", "projection", "model"}},
      {"criteria", &S::criteria, static_cast<unsigned>(Verb::compare), pruning, "LIST",
       "criteria to compare, with options of their own behind a +: lora,obs+update-weights,full+power=abs; none: all that know the granularity"},
      {"sparsities", &S::sparsities, static_cast<unsigned>(Verb::compare), pruning, "LIST", "shares that leave; n:m says its own"},
      {"seeds", &S::seeds, static_cast<unsigned>(Verb::compare), pruning, "N", "runs of each criterion at each sparsity, from --seed on"},
      {"power", &S::power, kPlan | Verb::compare, pruning, "NAME", "of Taylor scores: (G W)^2 or |G W|", {"square", "abs"}},
      {"eta", &S::eta, kPlan | Verb::compare, pruning, "X", "lora: weight of the second-order term"},
      {"scaled", &S::scaled, kPlan | Verb::compare, pruning, "", "lora: the adapters' scale multiplies their gradient"},
      {"input-decay", &S::input_decay, kPlan | Verb::compare, pruning, "X",
       "wanda, obs, sparsegpt: what stays of the inputs seen, from step to step; 1: all steps count alike"},
      {"damp", &S::damp, kPlan | Verb::compare, pruning, "X", "obs, sparsegpt: added to the Hessian's diagonal, as a share of its mean"},
      {"update-weights", &S::update_weights, kPrune | Verb::compare, pruning, "",
       "obs: frozen weights that stay make up for those that leave"},
      {"schedule", &S::schedule, kPrune | Verb::compare, pruning, "NAME", "how sparsity grows", {"cubic", "linear"}},
      {"warmup", &S::warmup, kPrune | Verb::compare, pruning, "X", "share of the steps before pruning starts", {},
       {"--warmup_iters"}},
      {"cooldown", &S::cooldown, kPrune | Verb::compare, pruning, "X", "share of the steps after it has ended", {},
       {"--cooldown_iters"}},
      {"prune-every", &S::prune_every, kPrune | Verb::compare, pruning, "N",
       "steps between pruning events", {}, {"--prune_every", "--prune_freq", "--prune-freq"}},
      {"ema", &S::ema, kPlan | Verb::compare, pruning, "X", "decay of the smoothed scores; movement adds up and obs looks anew instead"},
      {"score-batches", &S::score_batches, static_cast<unsigned>(Verb::plan), pruning, "N",
       "batches of --data by which units are scored, forward and backward, without a step"},
      {"normalise", &S::normalise, kPlan | Verb::compare, pruning, "NAME",
       "the norm by which each projection's scores are divided before those of a unit are added: over the units alive, over all, or none; "
       "auto: alive with --ranking local, none with global, and for movement and layers", {"auto", "none", "alive", "all"}, {"--normalize"}},
      {"ranking", &S::ranking, kPlan | Verb::compare, pruning, "NAME",
       "compare units within a layer, or over all layers", {"local", "global"}},
      {"revival", &S::revival, kPrune | Verb::compare, pruning, "NAME",
       "may a masked unit come back", {"none", "ema", "straight_through"}},
      {"compact", &S::compact, kPrune, pruning, "NAME",
       "when masked units leave memory: at once (live), so that steps get cheaper, or when the run has ended; auto: live "
       "where that chooses the same units",
       {"auto", "live", "end"}},
      {"round-to", &S::round_to, kPlan | Verb::compare, pruning, "N", "kept channels come in multiples of N, also those of --granularity hidden", {}, {"--round_to"}},
      {"min-heads", &S::min_heads, kPlan | Verb::compare, pruning, "N",
       "head groups (key-value heads with their queries; or query heads) that stay in every layer", {}, {"--min_heads"}},
      {"min-channels", &S::min_channels, kPlan | Verb::compare, pruning, "N", "channels that stay in every layer", {}, {"--min_channels"}},
      {"layer-floor", &S::layer_floor, kPlan | Verb::compare, pruning, "X",
       "share of the units that stays in every layer", {}, {"--layer_floor"}},
      {"uniform", &S::uniform, kPlan, pruning, "",
       "every layer keeps the same number of each kind of unit; --layout uniform asks for it, too"},
      {"exclude-layers", &S::exclude_layers, kPlan | Verb::compare, pruning, "LIST",
       "layers left alone, e.g. 0,1,-1 (negative: from the end)", {},
       {"--exclude_layers", "--skip-layers", "--skip_layers"}},
      {"official", &S::official, kPlan | Verb::compare, pruning, "",
       "reproduce the LoRAPrune authors' program, with its rounding and excluded layers"},

      {"steps", &S::steps, kLearn, training, "N", "optimizer steps; 0: --epochs", {}, {"--max_steps", "--max-steps"}},
      {"epochs", &S::epochs, kLearn, training, "X", "passes over the data, when --steps is 0", {},
       {"--num_train_epochs"}},
      {"batch", &S::batch, kLearn | Verb::eval | Verb::plan, training, "N",
       "sequences in a batch", {}, {"-b", "--batch_size", "--batch-size"}},
      {"accumulate", &S::accumulate, kLearn, training, "N",
       "batches per optimizer step", {}, {"--accum", "--gradient_accumulation_steps"}},
      {"seq-len", &S::seq_len, kLearn | Verb::eval | Verb::plan, training, "N",
       "tokens in a sequence", {}, {"-t", "--seq_len", "--cutoff_len"}},
      {"packing", &S::packing, Verb::train | Verb::prune | Verb::compare, training, "NAME",
       "documents: as many in a sequence as fit, none of which sees another, with positions of their own", {"none", "documents"}},
      {"document-end", &S::document_end, kData, training, "N",
       "the token that ends a document where data does not say; -1: with --packing documents eos_token_id of config.json", {}, {"--document_end"}},
      {"lr", &S::lr, kLearn, training, "X", "peak learning rate; a tenth of what suits adapters suits --tuning full", {}, {"--learning-rate", "--learning_rate"}},
      {"lr-schedule", &S::lr_schedule, kLearn, training, "NAME",
       "shape of the learning rate", {"constant", "linear", "cosine"}, {"--lr_schedule", "--lr_scheduler_type"}},
      {"lr-warmup", &S::lr_warmup, kLearn, training, "X",
       "steps, or below 1 the share of the steps, until the peak", {}, {"--lr_warmup", "--warmup_ratio"}},
      {"clip", &S::clip, kLearn, training, "X",
       "largest global norm of the gradients; 0: no clipping", {}, {"--max_grad_norm", "--max-grad-norm"}},
      {"weight-decay", &S::weight_decay, kLearn, training, "X", "of AdamW, on the adapters; with --tuning full on what was learnt, not on the weights", {}, {"--weight_decay"}},
      {"recompute", &S::recompute, kLearn, training, "",
       "keep only the input of each block: less memory, a third more work", {}, {"--gradient_checkpointing"}},

      {"eval-every", &S::eval_every, kFit, run, "N",
       "steps between evaluations on held-out data; 0: only at the ends", {}, {"--eval_every", "--eval_steps"}},
      {"save-every", &S::save_every, Verb::train | Verb::prune, run, "N",
       "steps between checkpoints, which stay; 0: one where training ends, until the result is complete", {}, {"--save_every", "--save_steps"}},
      {"keep", &S::keep, Verb::train | Verb::prune, run, "N", "checkpoints that are kept", {},
       {"--save_total_limit"}},
      {"log-every", &S::log_every, kFit, run, "N",
       "steps between log lines; 0: about forty lines a run", {}, {"--log_every", "--logging_steps"}},
      {"val-tokens", &S::val_tokens, kLearn | Verb::eval, run, "N",
       "most held-out tokens an evaluation reads; 0: all", {}, {"--val_tokens"}},
      {"runs", &S::runs, kPlan | Verb::eval | Verb::compare, run, "N", "runs behind a median latency"},
      {"seed", &S::seed, kLearn | Verb::plan, run, "N", "of every random number"},
      {"threads", &S::threads, kRun, run, "N", "0: as OpenMP decides; results have the same bits for any number"},
      {"device", &S::device, kRun, run, "NAME", "where to compute", {"cpu", "cuda"}},
      {"weights", &S::weights, kLearn | Verb::eval | Verb::plan | Verb::merge | Verb::export_, run, "NAME",
       "how frozen weights are held in memory; auto: as the checkpoint stores them", {"auto", "fp32", "bf16"}},

      {"format", &S::format, kExport, writing, "NAME",
       "a directory for transformers, or one file for llama.cpp", {"safetensors", "gguf"}},
      {"layout", &S::layout, kPlan | Verb::export_, writing, "NAME",
       "uniform: one shape for all layers; padded: zero-filled to the widest; compact: every layer as it is",
       {"automatic", "uniform", "padded", "compact"}},
      {"dtype", &S::dtype, kPlan | Verb::merge | Verb::export_, writing, "NAME",
       "numbers in the file; auto: those of the checkpoint", {"auto", "fp32", "bf16", "fp16"}},
      {"overwrite", &S::overwrite, kWrite, writing, "", "replace a result that is there already"},
      {"dry-run", &S::dry_run, kWrite, writing, "", "check everything, write nothing", {}, {"-n"}},

      {"json", &S::json, kAll, speaking, "", "the result as JSON on stdout"},
      {"quiet", &S::quiet, kAll, speaking, "", "errors only on stderr", {}, {"-q"}},
      {"verbose", &S::verbose, kAll, speaking, "", "say more", {}, {"-v"}},
      {"no-color", &S::no_color, kAll, speaking, "", "plain text; NO_COLOR does the same", {}, {"--no_color"}},
      {"print-config", &S::print_config, kAll, speaking, "",
       "the settings in force as a config file, and nothing else", {}, {"--print_config"}},
  };
}
// clang-format on

}  // namespace

const std::vector<Option>& options() {
  static const std::vector<Option> all = make_options();
  return all;
}

Settings defaults_of(Verb verb) {
  Settings s;
  if (verb == Verb::demo) {
    s.out = "espalier-demo";
    s.layout = "uniform";
    s.steps = 160, s.lr = 3e-3, s.cooldown = 0.3, s.prune_every = 8, s.eval_every = 32;
  }
  return s;
}

}  // namespace espalier::tool
