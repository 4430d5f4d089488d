#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/units.json: what every criterion says of the units of a real Llama, in numpy and by definition.

    python3 tests/python/make_unit_golden.py [output]

Weights, inputs and gradients are those of transformers and peft, in float64: tests/data/hf/llama-gqa with its adapter, whose
base gradients are in golden.safetensors and whose inputs are heard by hooks. Every projection is scored element by element
over the merged weight, its rows or columns are added to units, and the projections of a unit are added: as they are, and
each divided by its L2 norm over the units. The committed file was made with VERSIONS; the loss is held against that of
golden.safetensors to rounding.
"""
import json
import pathlib
import sys

import numpy as np
import peft
import torch
from safetensors.numpy import load_file

from make_golden import all_double, load_base

VERSIONS = {"torch": "2.15.0", "transformers": "5.24.0", "peft": "0.21.2", "safetensors": "0.8.0", "numpy": "2.4.6"}
CASE = pathlib.Path(__file__).parents[1] / "data" / "hf" / "llama-gqa"
SCALE = 8 / 4  # alpha / r
DAMP = 0.01


class Model:
    """W, W0, A, B, G, gA, gB and x of every projection, under its path."""

    def __init__(self):
        golden, stored = load_file(CASE / "golden.safetensors"), load_file(CASE / "model.safetensors")
        adapter = load_file(CASE / "adapter" / "adapter_model.safetensors")
        self.config = json.loads((CASE / "config.json").read_text())
        self.x, self.parts = {}, {}
        wide = peft.PeftModel.from_pretrained(load_base(CASE, True), CASE / "adapter").double().eval()
        for name, module in wide.named_modules():
            if isinstance(module, peft.tuners.lora.Linear):
                path = name.removeprefix("base_model.model.")
                module.register_forward_pre_hook(
                    lambda _, args, path=path: self.x.__setitem__(path, args[0].reshape(-1, args[0].shape[-1]).numpy().copy()))
        with all_double(), torch.no_grad():
            out = wide(input_ids=torch.tensor(golden["input_ids"]), labels=torch.tensor(golden["labels"]), use_cache=False)
        assert abs(float(out.loss) - float(golden["loss_adapter64"])) < 1e-13
        for path, x in self.x.items():
            a, b = (adapter[f"base_model.model.{path}.lora_{k}.weight"].astype(np.float64) for k in "AB")
            ga, gb = (golden[f"grad.base_model.model.{path}.lora_{k}.weight"] for k in "AB")
            w = stored[path + ".weight"].astype(np.float64) + SCALE * b @ a
            g = golden[f"base_grad.{path}.weight"]
            assert np.allclose(gb, SCALE * g @ a.T, rtol=0, atol=1e-12 * np.abs(gb).max())
            self.parts[path] = (w, g, a, b, ga, gb, x)


def elements(criterion, part):
    w, g, a, b, ga, gb, x = part
    guided = gb @ a + b @ ga - gb @ ga
    return {"lora": (guided * w) ** 2, "lora_abs": np.abs(guided * w), "full": (g * w) ** 2, "full_abs": np.abs(g * w),
            "movement": -g * w, "signed": g * w, "magnitude": np.abs(w),
            "wanda": np.abs(w) * np.sqrt((x ** 2).sum(0) / len(x)), "wanda_norm": np.abs(w) * np.sqrt((x ** 2).sum(0))}[criterion]


def surgeon(part, units):
    """The loss in output when the columns of a unit leave and the rest of every row is fitted anew."""
    w, x = part[0], part[-1]
    h = 2 / len(x) * x.T @ x
    h += DAMP * np.mean(np.diag(h)) * np.eye(len(h))
    scores = []
    for q in units:
        rest = [j for j in range(len(h)) if j not in q]
        move = np.zeros_like(w)
        move[:, q] = -w[:, q]
        move[:, rest] = np.linalg.solve(h[np.ix_(rest, rest)], h[np.ix_(rest, q)] @ w[:, q].T).T
        scores.append(0.5 * float(np.einsum("ij,jk,ik->", move, h, move)))
    return np.array(scores)


def score(criterion, part, axis, units):
    if criterion == "obs":
        return surgeon(part, units) if axis == "columns" else None  # it says nothing of rows
    e = elements(criterion, part)
    sums = np.array([(e[q] if axis == "rows" else e[:, q]).sum() for q in units])
    return {"signed": sums ** 2}.get(criterion, sums)


def groups(config):
    """Kind, layer, and of each projection its path, axis and the rows or columns of every unit."""
    heads, kv, head_dim = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    span = lambda u, width: list(range(u * width, (u + 1) * width))
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        query = [span(u, heads // kv * head_dim) for u in range(kv)]
        key = [span(u, head_dim) for u in range(kv)]
        yield "heads", layer, [(at + "self_attn.q_proj", "rows", query), (at + "self_attn.k_proj", "rows", key),
                               (at + "self_attn.v_proj", "rows", key), (at + "self_attn.o_proj", "columns", query)]
        one = [[u] for u in range(config["intermediate_size"])]
        yield "channels", layer, [(at + "mlp.gate_proj", "rows", one), (at + "mlp.up_proj", "rows", one),
                                  (at + "mlp.down_proj", "columns", one)]


def main():
    import safetensors
    import transformers
    now = {m.__name__: m.__version__.split("+")[0] for m in (torch, transformers, peft, safetensors, np)}
    if now != VERSIONS and "--any-version" not in sys.argv:
        sys.exit(f"this is {now}, the file is made with {VERSIONS}")
    model, out = Model(), {}
    for criterion in ("lora", "lora_abs", "full", "full_abs", "signed", "movement", "magnitude", "wanda", "wanda_norm", "obs"):
        for normalised in (False, True):
            scores = []
            for kind, layer, slices in groups(model.config):
                total = np.zeros(len(slices[0][2]))
                for path, axis, units in slices:
                    s = score(criterion, model.parts[path], axis, units)
                    if s is not None:
                        total += s / np.linalg.norm(s) if normalised else s
                scores.append({"kind": kind, "layer": layer, "scores": [float(f"{x:.15g}") for x in total]})
            out.setdefault(criterion, {})["normalised" if normalised else "sums"] = scores
    target = pathlib.Path(next((a for a in sys.argv[1:] if not a.startswith("-")),
                               pathlib.Path(__file__).parents[1] / "data" / "units.json"))
    target.write_text(json.dumps(out) + "\n")
    print(target, target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
