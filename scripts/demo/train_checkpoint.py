#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The recipe of models/demo: a byte-level Llama of one million parameters, trained on one CPU thread.

    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0
    python3 scripts/demo/train_checkpoint.py --out models/demo --state /tmp/demo-training

Rate: linear warm-up, constant, then 1 - sqrt decay over the last quarter of the steps. Up to where the decay starts the
run does not depend on --steps, so an interrupted run may be resumed to a shorter end and is still exactly this recipe.
Every batch is a function of (seed, step) alone: the same versions on the same processor give the same bytes, resumed or
not. Figures of the committed run are in models/demo/README.md, its log in models/demo/training.csv.
"""
import argparse
import csv
import json
import lzma
import math
import pathlib
import time

import torch
import transformers
from torch.nn.functional import cross_entropy

CONTEXT, BATCH = 256, 16
PEAK_RATE, WARM_UP, DECAY_SHARE = 3e-3, 100, 0.25
BETAS, WEIGHT_DECAY, CLIP = (0.9, 0.95), 0.1, 1.0
SEED = 1811

ARCHITECTURE = dict(
    vocab_size=256, hidden_size=128, intermediate_size=384, num_hidden_layers=5, num_attention_heads=8,
    num_key_value_heads=4, head_dim=16, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, hidden_act="silu",
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, tie_word_embeddings=True, initializer_range=0.04,
    bos_token_id=None, eos_token_id=None, pad_token_id=None, attention_dropout=0.0,
    espalier_tokenizer="bytes")  # a token id is a byte; there is no tokenizer.json


def tokens(path):
    raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8).long()


def rate(step, steps):
    start = round(steps * (1.0 - DECAY_SHARE))
    if step < start:
        return PEAK_RATE * min(1.0, (step + 1) / WARM_UP)
    return PEAK_RATE * (1.0 - math.sqrt((step - start) / (steps - start)))


def batch(data, step):
    generator = torch.Generator().manual_seed(SEED * 1_000_000 + step)
    starts = torch.randint(0, len(data) - CONTEXT, (BATCH,), generator=generator)
    return torch.stack([data[s:s + CONTEXT + 1] for s in starts])


def loss_of(model, windows):
    logits = model(input_ids=windows[:, :-1], use_cache=False).logits
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), windows[:, 1:].reshape(-1))


@torch.no_grad()
def held_out(model, data, most=None):
    """Nats per byte over windows of CONTEXT + 1 bytes that advance by CONTEXT; a rest shorter than that is left out."""
    count = (len(data) - 1) // CONTEXT
    windows = torch.stack([data[i * CONTEXT:i * CONTEXT + CONTEXT + 1] for i in range(count)])[:most]
    return sum(loss_of(model, part).item() * len(part) for part in windows.split(BATCH)) / len(windows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the Hugging Face directory to write")
    parser.add_argument("--text", type=pathlib.Path, help="default: OUT/text")
    parser.add_argument("--state", type=pathlib.Path, required=True, help="folder of the state to resume from")
    parser.add_argument("--steps", type=int, default=1700)
    parser.add_argument("--save-every", type=int, default=250)
    arguments = parser.parse_args()
    text = arguments.text or arguments.out / "text"
    arguments.state.mkdir(parents=True, exist_ok=True)

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**ARCHITECTURE))
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": WEIGHT_DECAY},
                                   {"params": vectors, "weight_decay": 0.0}], lr=PEAK_RATE, betas=BETAS)
    train, val = tokens(text / "pretrain.txt.xz"), tokens(text / "pretrain-val.txt")
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(train):,} bytes", flush=True)

    done, seconds, mean, log = 0, 0.0, None, []
    last = arguments.state / "last.pt"
    if last.exists():
        saved = torch.load(last)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        done, seconds, mean, log = saved["step"], saved["seconds"], saved["mean"], saved["log"]
        if done > round(saved["steps"] * (1.0 - DECAY_SHARE)) and saved["steps"] != arguments.steps:
            raise SystemExit("the saved run is already decaying: resume it with its own --steps")
        print(f"resumed after step {done}", flush=True)

    for step in range(done, arguments.steps):
        began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate(step, arguments.steps)
        loss = loss_of(model, batch(train, step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        seconds += time.perf_counter() - began
        mean = loss.item() if mean is None else 0.99 * mean + 0.01 * loss.item()
        if (step + 1) % arguments.save_every == 0 or step + 1 == arguments.steps:
            row = dict(step=step + 1, seconds=round(seconds, 1), rate=f"{rate(step, arguments.steps):.3e}",
                       train=round(mean, 4), held_out_32_windows=round(held_out(model, val, 32), 4))
            log.append(row)
            print(json.dumps(row), flush=True)
            part = arguments.state / "last.part"
            torch.save(dict(model=model.state_dict(), optimizer=optimizer.state_dict(), step=step + 1, seconds=seconds,
                            mean=mean, log=log, steps=arguments.steps), part)
            part.replace(last)

    model.to(torch.bfloat16).save_pretrained(arguments.out)
    with open(arguments.out / "training.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(log[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(log)

    model = transformers.AutoModelForCausalLM.from_pretrained(arguments.out, dtype=torch.float32)
    print(f"{arguments.steps} steps, {arguments.steps * BATCH * CONTEXT:,} bytes, {seconds:.0f} s in steps")
    for name in ("pretrain-val.txt", "second.txt", "second-val.txt"):
        nats = held_out(model, tokens(text / name))
        print(f"{name}: {nats:.4f} nats per byte, perplexity {math.exp(nats):.3f} (as stored, bf16; computed in fp32)")


if __name__ == "__main__":
    main()
