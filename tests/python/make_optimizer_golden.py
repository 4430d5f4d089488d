#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/optimizer.json: what torch.optim.AdamW, torch's clip_grad_norm_ and transformers' schedules compute.

Made once with torch 2 in double precision on one thread; the tests need neither. usage: make_optimizer_golden.py [output]
"""
import json
import pathlib
import sys

import torch

torch.set_num_threads(1)


def gradient(step, n):
    """Numbers that C++ computes in the same way: exact in double."""
    return torch.tensor([((step * 37 + i * 11) % 29 - 14) / 8 for i in range(n)], dtype=torch.float64)


def adamw(options, clip, steps=12, n=7):
    w = torch.nn.Parameter(torch.tensor([(i - 3) / 4 for i in range(n)], dtype=torch.float64))
    optimizer = torch.optim.AdamW([w], lr=options["rate"], betas=(options["beta1"], options["beta2"]),
                                  eps=options["eps"], weight_decay=options["decay"], foreach=False)
    norms = []
    for step in range(steps):
        w.grad = gradient(step, n)
        norms.append(float(torch.nn.utils.clip_grad_norm_([w], clip if clip > 0 else float("inf"), foreach=False)))
        optimizer.step()
    state = optimizer.state[w]
    return {"options": options, "clip": clip, "steps": steps, "norms": norms, "weights": w.tolist(),
            "moment1": state["exp_avg"].tolist(), "moment2": state["exp_avg_sq"].tolist()}


def schedule(name, warmup, steps):
    """transformers' own, called one step ahead during warm-up: see LearningRate."""
    from transformers import get_scheduler
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    rates = []
    for _ in range(steps + 1):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return {"shape": name, "warmup": warmup, "steps": steps, "rates": rates}


if __name__ == "__main__":
    default = {"rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.0}
    out = {
        "adamw": [adamw(default, 0.0), adamw(default | {"rate": 0.05, "decay": 0.1}, 1.0),
                  adamw(default | {"rate": 0.01, "beta1": 0.5, "beta2": 0.95, "eps": 1e-3, "decay": 0.01}, 2.5)],
        "schedules": [schedule("linear", 4, 20), schedule("linear", 0, 10), schedule("cosine", 4, 20), schedule("cosine", 0, 9)],
    }
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "data" / "optimizer.json")
    target.write_text(json.dumps(out, indent=1) + "\n")
