// SPDX-License-Identifier: MIT
// What each verb is for, with commands that can be copied.
#include "options_table.hpp"

namespace espalier::tool {

const std::vector<VerbWords>& verbs() {
  static const std::vector<VerbWords> all = {
      {Verb::demo, "demo", "everything on built-in data, in under a minute", "MODEL",
       "Evaluates a small Llama checkpoint, fine-tunes it with low-rank adapters and prunes it to 50 % in the same "
       "run,\n"
       "exports it, loads it again and compares; writes DIR/report.html.",
       "  espalier demo\n"
       "  espalier demo --sparsity 0.7 -o demo-70 --overwrite\n"},
      {Verb::info, "info", "what is in a checkpoint, an adapter or a data file", "PATH",
       "Shapes, number formats, parameters, MACs per token, memory, tokens. Reads headers, not weights.",
       "  espalier info models/tinyllama\n"
       "  espalier info out/adapter --json\n"
       "  espalier info train.bin\n"},
      {Verb::plan, "plan", "what would leave, and what it would cost; writes nothing", "MODEL",
       "Groups, units and costs of a model, and what several sparsities would remove, counted from shapes. With -d FILE,\n"
       "or --criterion magnitude or random, which need none, units are scored and those that would leave are named, before\n"
       "any weight is touched: some batches forward and backward, with adapters as they start. With B = 0 --criterion lora\n"
       "sees gradients through a random A: rows show, columns hardly do, and --adapter DIR brings one that has learnt.\n"
       "-v and --json list every unit.",
       "  espalier plan models/tinyllama --sparsity 0.5\n"
       "  espalier plan models/tinyllama --target-params 600M --round-to 32\n"
       "  espalier plan models/tinyllama -d train.bin --criterion full --score-batches 16 -v\n"
       "  espalier plan models/tinyllama --criterion magnitude --ranking global\n"},
      {Verb::train, "train", "LoRA fine-tuning: writes an adapter (PEFT)", "MODEL",
       "Fine-tunes low-rank adapters on a frozen checkpoint and writes a PEFT adapter directory; with --tuning full every\n"
       "weight of the linear maps of the blocks, and writes a whole model.",
       "  espalier train models/tinyllama -d train.bin --val val.bin -o adapter -r 16 --steps 500\n"
       "  espalier train models/tinyllama -d train.bin -o tuned --tuning full --lr 3e-5\n"
       "  espalier train --resume adapter\n"
       "  espalier merge models/tinyllama -a adapter -o merged\n"},
      {Verb::prune, "prune", "LoRA-guided pruning while fine-tuning: writes a smaller model", "MODEL",
       "Fine-tunes and prunes in the same run, removes the pruned heads and channels for good, and writes a\n"
       "Hugging Face directory with a report.",
       "  espalier prune models/tinyllama -d train.bin --val val.bin -o small --sparsity 0.5 --steps 400\n"
       "  espalier prune models/tinyllama -d train.bin -o small --criterion magnitude --round-to 32\n"
       "  espalier prune models/tinyllama -d train.bin -o sparse --granularity 2:4 --criterion wanda\n"
       "  espalier prune models/tinyllama -d train.bin -o small --tuning full --criterion movement --lr 3e-5\n"
       "  espalier prune --resume small\n"},
      {Verb::compare, "compare", "which criterion is best on your model: all of them under one protocol", "MODEL",
       "Prunes by every criterion, at every sparsity, with every seed; evaluates all on the same held-out data; writes a\n"
       "table with confidence intervals, achieved sparsity and measured speed, and a plot. --resume goes on.",
       "  espalier compare models/demo -d second.txt -o compared --steps 120 --seq-len 64\n"
       "  espalier compare models/tinyllama -d train.bin -o compared --criteria lora,magnitude --sparsities 0.5 --seeds 3\n"
       "  espalier compare models/tinyllama -d train.bin -o in-full --tuning full --lr 3e-5\n"
       "  espalier compare bert-base-uncased -d train.jsonl --val dev.jsonl --task classification -o compared --sparsities 0.5\n"
       "  espalier compare --resume compared\n"},
      {Verb::merge, "merge", "base and adapter into one model", "MODEL",
       "Adds s B A to the weights and writes a Hugging Face directory.",
       "  espalier merge models/tinyllama -a adapter -o merged\n"},
      {Verb::eval, "eval", "loss, perplexity, tokens per second, latency", "MODEL",
       "Perplexity over windows that do not overlap, every target counted once; latency as a median of forward runs.",
       "  espalier eval small -d val.bin\n"
       "  espalier eval models/tinyllama -a adapter -d val.bin --seq-len 512 --json\n"},
      {Verb::export_, "export", "another layout, number format or file format", "MODEL",
       "Writes a model directory anew: uniform (one shape for all layers), padded (zero-filled, the same function) or\n"
       "compact (every layer in its own shape, loaded with trust_remote_code=True). With --format gguf one file for\n"
       "llama.cpp, whose layers keep their shapes unless --layout padded is given.",
       "  espalier export small -o small-padded --layout padded\n"
       "  espalier export small -o small-bf16 --dtype bf16\n"
       "  espalier export small -o small.gguf --format gguf --dtype fp16\n"},
      {Verb::doctor, "doctor", "compiler, libraries, threads, speed: a line each", "",
       "Lines to paste into a bug report.", "  espalier doctor\n"},
  };
  return all;
}

const VerbWords& words_of(Verb verb) {
  for (const VerbWords& w : verbs())
    if (w.verb == verb) return w;
  return verbs().back();
}

}  // namespace espalier::tool
