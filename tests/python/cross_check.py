#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The built tool against the real transformers and peft, on random small checkpoints that transformers makes now.

    python3 tests/python/cross_check.py --tool build/release/tools/espalier

Needs torch, transformers, peft and numpy (versions tried: see tests/python/make_golden.py). One PASS or FAIL line a
check, a summary, and exit code 0 only when every check passed. Nothing of Espalier but the tool itself is used: which
heads and channels a pruned file kept is found by looking for its rows in the source, not by reading the plan.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")
import numpy as np
import peft
import torch
import transformers

TOLERANCE = 1e-5        # relative to the largest logit; fp32 on both sides
BF16_TOLERANCE = 1e-2   # where a result is rounded to bf16 once more on its way to the file

# How the tool is called: the only place that knows its command line. `prune` fine-tunes while it prunes; at this rate
# the adapters stay below the last bit of every weight, so that what is left must be rows of the source, bit for bit.
COMMANDS = {
    "export": ["export", "{model}", "--out", "{out}"],
    "prune": ["prune", "{model}", "--data", "{data}", "--out", "{out}", "--criterion", "magnitude", "--sparsity", "0.5",
              "--layout", "{layout}", "--round-to", "1", "--steps", "4", "--prune-every", "1", "--lr", "1e-30",
              "--batch", "2", "--seq-len", "16", "--seed", "7", "--threads", "1", "--runs", "1"],
    "prune-uneven": ["prune", "{model}", "--data", "{data}", "--out", "{out}", "--criterion", "magnitude",
                     "--exclude-layers", "0", "--sparsity", "0.5", "--layout", "{layout}", "--steps", "4",
                     "--prune-every", "1", "--lr", "1e-30", "--batch", "2", "--seq-len", "16", "--seed", "7",
                     "--threads", "1", "--runs", "1"],
    "prune-trained": ["prune", "{model}", "--data", "{data}", "--out", "{out}", "--criterion", "lora",
                      "--sparsity", "0.5", "--layout", "{layout}", "--round-to", "1", "--steps", "8",
                      "--prune-every", "2", "--lr", "0.01",
                      "--rank", "4", "--batch", "2", "--seq-len", "16", "--seed", "7", "--threads", "1", "--runs", "1"],
    "prune-by": ["prune", "{model}", "--data", "{data}", "--out", "{out}", "--criterion", "magnitude",
                 "--granularity", "{granularity}", "--sparsity", "{sparsity}", "--layout", "{layout}", "--steps", "4",
                 "--prune-every", "1", "--lr", "1e-30", "--batch", "2", "--seq-len", "16", "--seed", "7",
                 "--threads", "1", "--runs", "1"],
    "merge": ["merge", "{model}", "--adapter", "{adapter}", "--out", "{out}"],
    "train": ["train", "{model}", "--data", "{data}", "--out", "{out}", "--steps", "4", "--rank", "4", "--alpha", "8",
              "--targets", "{targets}", "--batch", "2", "--seq-len", "16", "--lr", "0.01", "--seed", "7",
              "--threads", "1"],
    "eval": ["eval", "{model}", "--data", "{data}", "--seq-len", "16", "--json", "--threads", "1", "--runs", "1"],
}
ADAPTER_IN_TRAIN_OUTPUT = ["adapter", "."]  # where `train` leaves the PEFT directory, first that exists

SMALL = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
             pad_token_id=None, tie_word_embeddings=False)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=128)
MODELS = {
    "llama-mha": ("llama", dict(num_key_value_heads=4), {}),
    "llama-gqa": ("llama", {}, {}),
    "llama-mqa": ("llama", dict(num_key_value_heads=1), dict(attention=False)),  # a single KV group cannot leave
    "llama-bias": ("llama", dict(attention_bias=True, mlp_bias=True), {}),
    "llama-tied": ("llama", dict(tie_word_embeddings=True), {}),
    "llama-head-dim": ("llama", dict(head_dim=12), {}),
    "llama-linear": ("llama", dict(rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)), {}),
    "llama-llama3": ("llama", dict(rope_parameters=LLAMA3), {}),
    "llama-v4": ("llama", dict(rope_parameters=LLAMA3), dict(v4=True)),
    "llama-bf16": ("llama", {}, dict(dtype=torch.bfloat16)),
    "llama-sharded": ("llama", {}, dict(max_shard_size="40KB")),
    "mistral": ("mistral", dict(sliding_window=None), {}),
    "qwen2": ("qwen2", {}, {}),
    "qwen3": ("qwen3", dict(head_dim=12), {}),
}
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {  # for the checkpoints named in main()
    "all-linear": dict(r=4, lora_alpha=8, target_modules=LINEAR),
    "rslora-qv": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], use_rslora=True),
    "rank-pattern": dict(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"],
                         rank_pattern={"model.layers.1.self_attn.q_proj": 2},
                         alpha_pattern={"layers.0.mlp.down_proj": 3}),
    "regex": dict(r=3, lora_alpha=5, target_modules=r".*\.layers\.1\..*(k_proj|up_proj)"),
}


class Failure(Exception):
    pass


class Bench:
    def __init__(self, tool, folder, only):
        self.tool, self.folder, self.only, self.results = tool, folder, only, []

    def run(self, verb, **values):
        out = values.get("out")
        if out is not None:
            shutil.rmtree(out, ignore_errors=True)
        command = [str(self.tool)] + [part.format(**values) for part in COMMANDS[verb]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            tail = (done.stderr or done.stdout).strip().splitlines()[-3:]
            raise Failure(f"exit code {done.returncode} from `{' '.join(command)}`: {' | '.join(tail)}")
        return done.stdout

    def check(self, name, body):
        """body() returns (measured, bound), or a list of them, or raises Failure."""
        if self.only and not any(word in name for word in self.only):
            return
        try:
            found = body()
            found = found if isinstance(found, list) else [found]
            good = all(measured <= bound for measured, bound in found)
            text = "  ".join(f"{measured:.1e} (≤ {bound:.0e})" for measured, bound in found)
        except Failure as failure:
            good, text = False, str(failure)
        except Exception as error:  # whatever transformers or peft throw at the tool's output is a failed check
            good, text = False, f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
        self.results.append((name, good))
        print(f"{'PASS' if good else 'FAIL'}  {name:52} {text}", flush=True)


def load(directory):
    return transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, trust_remote_code=True,
                                                             attn_implementation="eager").eval()


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits.double().numpy()


def difference(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            p.copy_(0.3 * noise if name.endswith("bias") else 1 + 0.3 * noise if p.dim() == 1
                    else 0.8 * noise if "embed_tokens" in name else 1.2 * noise / p.shape[1] ** 0.5)


def make_model(name, directory, seed):
    kind, changes, options = MODELS[name]
    config = transformers.AutoConfig.for_model(kind, **{**SMALL, **changes, "a_key_nobody_knows": {"keep": [1, "me"]}})
    model = transformers.AutoModelForCausalLM.from_config(config)
    randomise(model, seed)
    model = model.to(options.get("dtype", torch.float32))
    shard = {"max_shard_size": options["max_shard_size"]} if "max_shard_size" in options else {}
    model.save_pretrained(directory, **shard)
    (directory / "tokenizer_config.json").write_text('{"model_max_length": 64}\n')
    if options.get("v4"):
        path = directory / "config.json"
        written = json.loads(path.read_text())
        written["rope_scaling"] = written.pop("rope_parameters")
        written["rope_theta"] = written["rope_scaling"].pop("rope_theta")
        written["torch_dtype"] = written.pop("dtype")
        path.write_text(json.dumps(written))


def rows_in(source, part, width):
    """Positions in `source` of the blocks of `width` rows of `part`; all-zero blocks (padding) are skipped."""
    blocks = source.reshape(source.shape[0] // width, -1)
    found = []
    for block in part.reshape(part.shape[0] // width, -1):
        if not block.any():
            continue
        hits = np.flatnonzero((blocks == block).all(axis=1))
        if len(hits) != 1:
            raise Failure(f"a block of {width} rows of the pruned file is {len(hits)} times in the source")
        found.append(int(hits[0]))
    return found


def mask_like(source, pruned):
    """Cut from `source`, in place, what `pruned` no longer has. Returns (kept channels, kept heads) of each layer."""
    kept = []
    config = source.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    with torch.no_grad():
        for before, after in zip(source.model.layers, pruned.model.layers, strict=True):
            channels = rows_in(before.mlp.gate_proj.weight.numpy(), after.mlp.gate_proj.weight.numpy(), 1)
            heads = rows_in(before.self_attn.q_proj.weight.numpy(), after.self_attn.q_proj.weight.numpy(), width)
            gone = np.setdiff1d(np.arange(before.mlp.gate_proj.weight.shape[0]), channels)
            before.mlp.down_proj.weight[:, gone] = 0
            for head in set(range(config.num_attention_heads)) - set(heads):
                before.self_attn.o_proj.weight[:, head * width:(head + 1) * width] = 0
            kept.append((len(channels), len(heads)))
    return kept


def survived(source, out):
    """What a directory must keep though the tool does not understand it."""
    config = json.loads((out / "config.json").read_text())
    if config.get("a_key_nobody_knows") != {"keep": [1, "me"]}:
        raise Failure("config.json lost a key that it did not know")
    for file in ("tokenizer_config.json", "generation_config.json"):
        if not (out / file).exists() or (out / file).read_bytes() != (source / file).read_bytes():
            raise Failure(f"{file} is missing or changed")


def perplexity(bench, directory, data):
    """How far the tool's perplexity is from that of transformers."""
    answer = json.loads(bench.run("eval", model=directory, data=data))
    stack, value = [answer], None
    while stack and value is None:
        item = stack.pop()
        if isinstance(item, dict):
            value = item.get("perplexity")
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    if not isinstance(value, (int, float)):
        raise Failure("no number called perplexity in the answer")
    stream = torch.from_numpy(np.load(data).astype(np.int64))
    count = (len(stream) - 1) // 16
    windows = torch.stack([stream[i * 16:i * 16 + 17] for i in range(count)])
    with torch.no_grad():
        scores = load(directory)(input_ids=windows[:, :-1]).logits.double()
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), windows[:, 1:].flatten())
    return abs(np.log(value) - float(loss)) / float(loss), TOLERANCE


def check_model(bench, name, data, seed):
    source = bench.folder / name / "source"
    make_model(name, source, seed)
    options = MODELS[name][2]
    ids = torch.randint(0, SMALL["vocab_size"], (2, 24), generator=torch.Generator().manual_seed(seed))
    out = bench.folder / name / "out"

    def export():
        bench.run("export", model=source, out=out)
        survived(source, out)
        return difference(logits(load(out), ids), logits(load(source), ids)), TOLERANCE

    def prune(layout):
        bench.run("prune", model=source, data=data, out=out, layout=layout)
        survived(source, out)
        pruned, masked = load(out), load(source)
        dense = logits(masked, ids)
        kept = mask_like(masked, pruned)
        channels, heads = (sum(k[i] for k in kept) / len(kept) for i in (0, 1))
        full = SMALL["intermediate_size"]
        if not 0.2 * full <= channels <= 0.8 * full:
            raise Failure(f"kept {channels} of {full} channels a layer at 50 %")
        if options.get("attention", True) and not heads < SMALL["num_attention_heads"]:
            raise Failure("no attention head was removed")
        if layout == "uniform" and len(set(kept)) != 1:
            raise Failure(f"layers differ in a uniform export: {kept}")
        now = logits(pruned, ids)
        if difference(now, dense) < 1e-3:
            raise Failure("the pruned model computes what the dense one does")
        return difference(now, logits(masked, ids)), TOLERANCE

    def compact():
        """Layers that differ, each in its own shape: no stock class loads them, the one beside them does."""
        bench.run("prune-uneven", model=source, data=data, out=out, layout="compact")
        survived(source, out)
        config = json.loads((out / "config.json").read_text())
        if config["model_type"] in transformers.CONFIG_MAPPING:
            raise Failure(f"model_type is {config['model_type']}, which a stock class loads")
        pruned, masked = load(out), load(source)
        dense = logits(masked, ids)
        kept = mask_like(masked, pruned)
        if len(set(kept)) == 1 and options.get("attention", True):
            raise Failure(f"the layers do not differ: {kept}")
        stored = sum(n.numel() for n in pruned.parameters())
        if stored >= sum(n.numel() for n in masked.parameters()):
            raise Failure("the compact model is not smaller")
        now, expected = logits(pruned, ids), logits(masked, ids)
        if difference(now, dense) < 1e-3:
            raise Failure("the pruned model computes what the dense one does")
        greedy = pruned.generate(ids[:1], max_new_tokens=8, do_sample=False, pad_token_id=0)  # with a cache
        again = masked.generate(ids[:1], max_new_tokens=8, do_sample=False, pad_token_id=0)
        if not torch.equal(greedy, again):
            raise Failure("generation with a cache differs from the masked source")
        back = bench.folder / name / "back"
        bench.run("export", model=out, out=back)
        loaded, agreed = difference(now, expected), difference(logits(load(back), ids), expected)
        return [(loaded, TOLERANCE), (agreed, TOLERANCE)]

    def trained():
        bench.run("prune-trained", model=source, data=data, out=out, layout="padded")
        survived(source, out)
        if difference(logits(load(out), ids), logits(load(source), ids)) < 1e-3:
            raise Failure("the pruned model computes what the dense one does")
        return perplexity(bench, out, data)

    bench.check(f"{name}: export, reload", export)
    bench.check(f"{name}: prune to uniform = masked source", lambda: prune("uniform"))
    bench.check(f"{name}: prune to padded = masked source", lambda: prune("padded"))
    bench.check(f"{name}: prune to compact = masked source", compact)
    bench.check(f"{name}: eval", lambda: perplexity(bench, source, data))
    bench.check(f"{name}: prune and fine-tune, eval", trained)


def silence(module, rows=slice(None)):
    """What a module writes there becomes zero."""
    module.weight[rows] = 0
    if module.bias is not None:
        module.bias[rows] = 0


def without_layers(source, pruned):
    """Layers of `source` that `pruned` no longer has add nothing any more."""
    kept = []
    with torch.no_grad():
        for layer in pruned.model.layers:
            same = [i for i, other in enumerate(source.model.layers)
                    if torch.equal(layer.mlp.gate_proj.weight, other.mlp.gate_proj.weight)]
            if len(same) != 1:
                raise Failure(f"a layer of the pruned file is {len(same)} times in the source")
            kept += same
        for i, layer in enumerate(source.model.layers):
            if i not in kept:
                silence(layer.self_attn.o_proj), silence(layer.mlp.down_proj)
    if kept != sorted(kept) or not 0 < len(kept) < len(source.model.layers):
        raise Failure(f"kept the layers {kept}")


def without_hidden(source, pruned):
    """Channels of the residual stream that `pruned` no longer has are written by nobody any more."""
    before, after = (m.model.embed_tokens.weight.detach().numpy().T for m in (source, pruned))
    kept = rows_in(before, after, 1)
    gone = np.setdiff1d(np.arange(before.shape[0]), kept)
    if kept != sorted(kept) or len(gone) == 0:
        raise Failure(f"kept the channels {kept}")
    with torch.no_grad():
        source.model.embed_tokens.weight[:, gone] = 0
        for layer in source.model.layers:
            silence(layer.self_attn.o_proj, gone), silence(layer.mlp.down_proj, gone)


def check_granularity(bench, name, data, seed):
    source, out = bench.folder / name / "source", bench.folder / name / "out"
    ids = torch.randint(0, SMALL["vocab_size"], (2, 24), generator=torch.Generator().manual_seed(seed))
    tolerance = BF16_TOLERANCE if MODELS[name][2].get("dtype") == torch.bfloat16 else TOLERANCE

    def prune(granularity, layout, sparsity, cut):
        make_model(name, source, seed)
        bench.run("prune-by", model=source, data=data, out=out, granularity=granularity, layout=layout, sparsity=sparsity)
        survived(source, out)
        config = json.loads((out / "config.json").read_text())
        if config["model_type"] not in transformers.CONFIG_MAPPING or "head_dim" not in config:
            raise Failure("config.json is none of a stock class with its head_dim")
        pruned, masked = load(out), load(source)
        dense = logits(masked, ids)
        cut(masked, pruned)
        now, expected = logits(pruned, ids), logits(masked, ids)
        if difference(now, dense) < 1e-3:
            raise Failure("the pruned model computes what the dense one does")
        fewer, all_of_them = (sum(n.numel() for n in m.parameters()) for m in (pruned, masked))
        if fewer >= all_of_them:
            raise Failure("the pruned model is not smaller")
        if granularity.startswith("queries") and pruned.config.num_key_value_heads != masked.config.num_key_value_heads:
            raise Failure("key-value heads have left")
        return difference(now, expected), tolerance

    if MODELS[name][1].get("num_key_value_heads") != 4:
        bench.check(f"{name}: queries, uniform", lambda: prune("queries", "uniform", "0.5", mask_like))
        bench.check(f"{name}: queries-free, padded", lambda: prune("queries-free", "padded", "0.4", mask_like))
    bench.check(f"{name}: layers, uniform", lambda: prune("layers", "uniform", "0.5", without_layers))
    bench.check(f"{name}: hidden, uniform", lambda: prune("hidden", "uniform", "0.25", without_hidden))


def check_gpt2(bench, data, seed):
    source, out = bench.folder / "gpt2" / "source", bench.folder / "gpt2" / "out"
    config = transformers.GPT2Config(vocab_size=SMALL["vocab_size"], n_embd=32, n_layer=3, n_head=4, n_positions=64,
                                     bos_token_id=1, eos_token_id=2, a_key_nobody_knows={"keep": [1, "me"]})
    model = transformers.AutoModelForCausalLM.from_config(config)
    randomise(model, seed)
    model.save_pretrained(source)
    (source / "tokenizer_config.json").write_text('{"model_max_length": 64}\n')

    def compact():
        bench.run("prune-uneven", model=source, data=data, out=out, layout="compact")
        survived(source, out)
        pruned = load(out)
        shapes = {(block.attn.c_attn.weight.shape, block.mlp.c_fc.weight.shape) for block in pruned.transformer.h}
        if len(shapes) == 1:
            raise Failure("the layers do not differ")
        return perplexity(bench, out, data)

    def layers():
        bench.run("prune-by", model=source, data=data, out=out, granularity="layers", layout="uniform", sparsity="0.34")
        survived(source, out)
        pruned, masked = load(out), load(source)
        ids = torch.randint(0, SMALL["vocab_size"], (2, 24), generator=torch.Generator().manual_seed(seed))
        kept = [[i for i, other in enumerate(masked.transformer.h) if torch.equal(block.mlp.c_fc.weight, other.mlp.c_fc.weight)]
                for block in pruned.transformer.h]
        if len(kept) != 2 or any(len(k) != 1 for k in kept):
            raise Failure(f"kept the layers {kept}")
        with torch.no_grad():
            for i, block in enumerate(masked.transformer.h):
                if [i] not in kept:
                    silence(block.attn.c_proj), silence(block.mlp.c_proj)
        return difference(logits(pruned, ids), logits(masked, ids)), TOLERANCE

    bench.check("gpt2: prune to compact, eval", compact)
    bench.check("gpt2: layers, uniform", layers)


def check_adapters(bench, name, data, seed):
    tolerance = BF16_TOLERANCE if MODELS[name][2].get("dtype") == torch.bfloat16 else TOLERANCE
    source = bench.folder / name / "source"
    ids = torch.randint(0, SMALL["vocab_size"], (2, 24), generator=torch.Generator().manual_seed(seed))
    out, adapter = bench.folder / name / "merged", bench.folder / name / "adapter"

    def merge(settings):
        torch.manual_seed(seed)
        shutil.rmtree(adapter, ignore_errors=True)
        model = peft.get_peft_model(load(source), peft.LoraConfig(task_type="CAUSAL_LM", **settings))
        with torch.no_grad():
            for key, p in model.named_parameters():
                if "lora_" in key:
                    p.normal_(std=0.5 / p.shape[1] ** 0.5)
        model.save_pretrained(adapter, save_embedding_layers=False)
        bench.run("merge", model=source, adapter=adapter, out=out)
        dense = logits(load(source), ids)
        ours, theirs = logits(load(out), ids), logits(model.merge_and_unload(), ids)
        if difference(theirs, dense) < 1e-3:
            raise Failure("the adapter does nothing: the check would prove nothing")
        return difference(ours, theirs), tolerance

    def written(targets):
        trained = bench.folder / name / "trained"
        bench.run("train", model=source, data=data, out=trained, targets=targets)
        places = [trained / p for p in ADAPTER_IN_TRAIN_OUTPUT if (trained / p / "adapter_config.json").exists()]
        if not places:
            raise Failure("train left no adapter_config.json")
        base = load(source)
        dense = logits(base, ids)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            model = peft.PeftModel.from_pretrained(base, places[0]).eval()
        for message in (str(w.message) for w in heard):
            if "missing" in message.lower() or "unexpected" in message.lower():
                raise Failure(message[:300])
        modules = {k.split(".lora_")[0].rsplit(".", 1)[1] for k, _ in model.named_parameters() if "lora_B" in k}
        if modules != set(targets.split(",")):
            raise Failure(f"peft finds adapters on {sorted(modules)}")
        theirs = logits(model, ids)
        if difference(theirs, dense) < 1e-4:
            raise Failure("the trained adapter does nothing")
        bench.run("merge", model=source, adapter=places[0], out=out)
        return difference(logits(load(out), ids), theirs), tolerance

    for kind, settings in ADAPTERS.items():
        bench.check(f"{name}: merge of peft's adapter, {kind}", lambda s=settings: merge(s))
    bench.check(f"{name}: our adapter in peft, all linear", lambda: written(",".join(LINEAR)))
    bench.check(f"{name}: our adapter in peft, q and v", lambda: written("q_proj,v_proj"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", type=pathlib.Path, required=True)
    parser.add_argument("--only", nargs="*", help="run the checks whose name contains one of these words")
    parser.add_argument("--keep", type=pathlib.Path, help="work in this folder and leave it")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not arguments.tool.exists():
        sys.exit(f"{arguments.tool}: no such file; build the tool first")
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / "tokens.npy"
        np.save(data, np.random.default_rng(arguments.seed).integers(0, SMALL["vocab_size"], 2049).astype(np.int32))
        bench = Bench(arguments.tool.resolve(), folder, arguments.only)
        for i, name in enumerate(MODELS):
            check_model(bench, name, data, 100 * arguments.seed + i)
        for i, name in enumerate(("llama-mha", "llama-gqa", "llama-mqa", "llama-bias", "llama-tied", "llama-head-dim",
                                  "llama-bf16", "llama-llama3", "mistral", "qwen2", "qwen3")):
            check_granularity(bench, name, data, 100 * arguments.seed + 60 + i)
        check_gpt2(bench, data, 100 * arguments.seed + 40)
        for i, name in enumerate(("llama-gqa", "qwen2", "llama-bf16")):
            check_adapters(bench, name, data, 100 * arguments.seed + 50 + i)
    failed = [name for name, good in bench.results if not good]
    print(f"{len(bench.results) - len(failed)} of {len(bench.results)} checks passed; torch {torch.__version__}, "
          f"transformers {transformers.__version__}, peft {peft.__version__}")
    return 1 if failed or not bench.results else 0


if __name__ == "__main__":
    sys.exit(main())
