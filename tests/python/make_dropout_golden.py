#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where transformers drops something while a model is trained: the loss when all of it is dropped, place by place.

    python3 tests/python/make_dropout_golden.py tests/data         (torch 2.15.0, transformers 5.24.0, numpy 2.4.6)

Of some checkpoints of <data>/hf, <data>/dropout.json has for each place the float64 loss of the golden batch with everything
dropped there and nothing elsewhere. So no random number matters, and a loss says where the place is: in front of or behind
a bias, a norm, a residual. Every module that drops belongs to one of the places, or the script fails.
"""
import json
import os
import pathlib
import re
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import load_file

import make_golden

# name -> how, and a pattern of the modules: an attribute that is the probability, or which call of the module
GPT2 = {"embeddings": ("p", r"transformer\.drop"), "probabilities": ("p", r".*\.attn\.attn_dropout"),
        "attention_output": ("p", r".*\.attn\.resid_dropout"), "mlp_output": ("p", r".*\.mlp\.dropout")}
TEXT = {"embeddings": ("p", r"\w+\.embeddings\.dropout"), "probabilities": ("p", r".*\.attention\.self\.dropout"),
        "attention_output": ("p", r".*\.attention\.output\.dropout"), "mlp_output": ("p", r".*\.layer\.\d+\.output\.dropout")}
PLACES = {
    "gpt2": GPT2,
    "bert-classes": {**TEXT, "classifier": ("p", r"dropout")},
    "roberta-classes": {**TEXT, "classifier_input": (0, r"classifier\.dropout"), "classifier": (1, r"classifier\.dropout")},
    "deberta-convolution": {**TEXT, "positions": ("p", r".*\.attention\.self\.pos_dropout"), "convolution": ("p", r".*\.conv\.dropout"),
                            "classifier_input": ("p", r"pooler\.dropout"), "classifier": ("p", r"dropout")},
    "vit": {"embeddings": ("p", r"vit\.embeddings\.dropout"), "probabilities": ("attention_dropout", r".*\.attention"),
            "attention_output": (0, r".*\.layers?\.\d+\.dropout"), "mlp_output": (1, r".*\.layers?\.\d+\.dropout")},
}


class DropsOnce(torch.nn.Module):
    """Drops everything when it is called for the n-th time."""

    def __init__(self, n):
        super().__init__()
        self.n, self.calls = n, 0

    def forward(self, x):
        self.calls += 1
        return torch.zeros_like(x) if self.calls == self.n + 1 else x


def loss(directory, task, inputs, how, pattern):
    model = make_golden.load_base(directory, True, task).train()
    dropping = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}
    for n in dropping:
        model.get_submodule(n).p = 0.0
    found = [n for n, _ in model.named_modules() if pattern and re.fullmatch(pattern, n)]
    for n in found:
        if isinstance(how, str):
            assert hasattr(model.get_submodule(n), how), (n, how)
            setattr(model.get_submodule(n), how, 1.0)
        else:
            parent, _, child = n.rpartition(".")
            setattr(model.get_submodule(parent), child, DropsOnce(how))
    return float(make_golden.evaluate(model, inputs, True)[1]), set(found), dropping


def main():
    data = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    make_golden.transformers.utils.logging.disable_progress_bar()
    out = {"made_with": ", ".join(f"{p} {sys.modules[p].__version__.split('+')[0]}" for p in ("torch", "transformers", "numpy")), "losses": {}}
    for name, places in PLACES.items():
        directory, task = data / "hf" / name, make_golden.CASES[name][2].get("task")
        golden = load_file(directory / "golden.safetensors")
        inputs = {k: golden[k] for k in ("input_ids", "pixel_values", "attention_mask", "token_type_ids", "labels") if k in golden}
        whole, _, dropping = loss(directory, task, inputs, None, None)
        assert abs(whole - float(golden["loss64"])) < 1e-13, (name, whole, golden["loss64"])
        losses, seen = {}, set()
        for place, (how, pattern) in places.items():
            losses[place], found, _ = loss(directory, task, inputs, how, pattern)
            assert found and abs(losses[place] - whole) > 1e-4, (name, place)
            seen |= found
        assert dropping <= seen, (name, dropping - seen)
        out["losses"][name] = losses
    (data / "dropout.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
