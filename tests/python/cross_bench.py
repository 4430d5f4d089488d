# SPDX-License-Identifier: MIT
"""What the checks of tests/python/cross_check.py share: the tool's command line, how a result is judged, and how it is
found out what a pruned file kept."""
import json
import os
import shutil
import subprocess
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")
import numpy as np
import peft
import torch

TOLERANCE = 1e-5        # relative to the largest logit; fp32 on both sides
BF16_TOLERANCE = 1e-2   # where a result is rounded to bf16 once more on its way to the file

# How the tool is called: the only place that knows its command line. `prune` fine-tunes while it prunes; at this rate
# the adapters stay below the last bit of every weight, so that what is left must be rows of the source, bit for bit.
RUN = ["--batch", "2", "--seq-len", "16", "--seed", "7", "--threads", "1"]
PRUNE = ["prune", "{model}", "--data", "{data}", "--out", "{out}", "--layout", "{layout}", "--runs", "1", *RUN]
UNTRAINED = [*PRUNE, "--criterion", "magnitude", "--steps", "4", "--prune-every", "1", "--lr", "1e-30"]
COMMANDS = {
    "export": ["export", "{model}", "--out", "{out}"],
    "prune": [*UNTRAINED, "--sparsity", "0.5", "--round-to", "1"],
    "prune-channels": [*UNTRAINED, "--sparsity", "0.15", "--min-heads", "{heads}"],
    "prune-uneven": [*UNTRAINED, "--sparsity", "0.5", "--exclude-layers", "0"],
    "prune-by": [*UNTRAINED, "--granularity", "{granularity}", "--sparsity", "{sparsity}"],
    "prune-trained": [*PRUNE, "--criterion", "lora", "--sparsity", "0.5", "--round-to", "1", "--steps", "8",
                      "--prune-every", "2", "--lr", "0.01", "--rank", "4"],
    "merge": ["merge", "{model}", "--adapter", "{adapter}", "--out", "{out}"],
    "train": ["train", "{model}", "--data", "{data}", "--out", "{out}", "--steps", "4", "--rank", "4", "--alpha", "8",
              "--targets", "{targets}", "--lr", "0.01", *RUN],
    "go-on": ["train", "{model}", "--data", "{data}", "--out", "{out}", "--adapter", "{adapter}", "--steps", "4",
              "--lr", "0.01", *RUN],
    "eval": ["eval", "{model}", "--data", "{data}", "--seq-len", "16", "--json", "--threads", "1", "--runs", "1"],
    "eval-adapter": ["eval", "{model}", "--adapter", "{adapter}", "--data", "{data}", "--seq-len", "16", "--json",
                     "--threads", "1", "--runs", "1"],
}
UNKNOWN = {"a_key_nobody_knows": {"keep": [1, "me"]}}  # goes into every config.json


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


def difference(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


def differs(now, before, what, least=1e-3):
    if difference(now, before) < least:
        raise Failure(f"{what}: the check would prove nothing")


def randomise(model, seed):
    """Nothing degenerate: norm weights differ from 1, biases from 0, activations stay near unit size."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            p.copy_(0.3 * noise if name.endswith("bias") else 1 + 0.3 * noise if p.dim() == 1
                    else noise / p[0].numel() ** 0.5 if p.dim() > 2 else 0.8 * noise if "embed" in name
                    else 1.2 * noise / p.shape[1] ** 0.5)


def save_source(model, directory, **how):
    model.save_pretrained(directory, **how)
    (directory / "tokenizer_config.json").write_text('{"model_max_length": 64}\n')


def survived(source, out):
    """What a directory must keep though the tool does not understand it."""
    config = json.loads((out / "config.json").read_text())
    if any(config.get(key) != value for key, value in UNKNOWN.items()):
        raise Failure("config.json lost a key that it did not know")
    for file in ("tokenizer_config.json", "generation_config.json", "tokenizer.json", "preprocessor_config.json"):
        if (source / file).exists() and (not (out / file).exists() or (out / file).read_bytes() != (source / file).read_bytes()):
            raise Failure(f"{file} is missing or changed")


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


def silence(module, rows=slice(None)):
    """What a module writes there becomes zero."""
    module.weight[rows] = 0
    if module.bias is not None:
        module.bias[rows] = 0


def peft_adapter(base, settings, directory, seed):
    """An adapter of peft's, head and all away from where they started, written and in memory."""
    torch.manual_seed(seed)
    shutil.rmtree(directory, ignore_errors=True)
    model = peft.get_peft_model(base, peft.LoraConfig(**settings)).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "lora_" in key or "modules_to_save" in key:
                p.normal_(std=0.5 / p.shape[-1] ** 0.5)
    model.save_pretrained(directory, save_embedding_layers=False)
    return model


def read_by_peft(base, directory):
    """A directory of the tool's in peft, which finds all that it looks for, and nothing else."""
    if not (directory / "adapter_config.json").exists():
        raise Failure("there is no adapter_config.json")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model = peft.PeftModel.from_pretrained(base, directory).eval()
    for message in (str(w.message) for w in heard):
        if "missing" in message.lower() or "unexpected" in message.lower():
            raise Failure(message[:300])
    return model


def adapted(model):
    """Rank and scale of every map that has an adapter, by its path."""
    return {path.removeprefix("base_model.model."): (module.r["default"], module.scaling["default"])
            for path, module in model.named_modules() if hasattr(module, "lora_A") and "default" in module.lora_A}
