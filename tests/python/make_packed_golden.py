#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What transformers computes from several documents in one sequence, for checkpoints of make_golden.py.

    python3 tests/python/make_packed_golden.py tests/data

The committed files were made with the versions of make_golden.py, but transformers 5.24.0, on one thread; others are
refused.

<out>/packed/<case>.safetensors, of <out>/hf/<case>
    input_ids, position_ids, labels   I64 [batch, time]; positions begin anew in each document; labels as transformers
                                      shifts them, -100 for the first token of each document
    logits64                          of the base model in float64, under a block-diagonal causal 4D mask
    logits_adapter64, loss_adapter64  with the adapter, unmerged; loss64 without

Two witnesses are asked before anything is written: each document by itself, and the mask that transformers makes of
position_ids that begin anew when it is given none.
"""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
os.environ["HF_HUB_OFFLINE"] = "1"

import make_golden
import numpy as np
import peft
import torch
from safetensors.numpy import save_file

# GPT-2 has 16 positions: no document is longer, the sequence is.
DOCUMENTS = [[5, 1, 9, 3], [16, 2]]
VERSIONS = {**make_golden.VERSIONS, "transformers": "5.24.0"}
CASES = ["llama-gqa", "qwen3", "gpt2"]


def run(model, ids, positions, mask=None):
    with make_golden.all_double(), torch.no_grad():
        return model(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False).logits


def make(out, name):
    directory = out / "hf" / name
    target = out / "packed" / f"{name}.safetensors"
    base = make_golden.load_base(directory, double=True)
    generator = torch.Generator().manual_seed(3000 + CASES.index(name))
    batch, time = len(DOCUMENTS), sum(DOCUMENTS[0])
    ids = torch.randint(0, base.config.vocab_size, (batch, time), generator=generator)
    positions = torch.stack([torch.cat([torch.arange(n) for n in row]) for row in DOCUMENTS])
    document = torch.stack([torch.cat([torch.full((n,), d) for d, n in enumerate(row)]) for row in DOCUMENTS])
    labels = torch.where(positions == 0, torch.tensor(-100), ids)
    sees = (document[:, :, None] == document[:, None, :]) & torch.ones(time, time).tril().bool()
    mask = torch.zeros(batch, 1, time, time, dtype=torch.float64).masked_fill(~sees[:, None], torch.finfo(torch.float64).min)

    def packed(model, prefix):
        logits = run(model, ids, positions, mask)
        for b, row in enumerate(DOCUMENTS):
            begin = 0
            for n in row:
                alone = run(model, ids[b:b + 1, begin:begin + n], torch.arange(n)[None])
                if (alone - logits[b:b + 1, begin:begin + n]).abs().max() > 1e-12:
                    sys.exit(f"{name}: a document alone has other logits")
                begin += n
            own = run(model, ids[b:b + 1], positions[b:b + 1])
            if (own - logits[b:b + 1]).abs().max() > 1e-12:
                sys.exit(f"{name}: the mask that transformers makes of position_ids is another")
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return {f"logits{prefix}64": logits.numpy(), f"loss{prefix}64": loss.numpy()}

    golden = dict(input_ids=ids.numpy(), position_ids=positions.numpy(), labels=labels.numpy(), **packed(base, ""))
    adapted = peft.PeftModel.from_pretrained(base, directory / "adapter").double().eval()
    golden |= packed(adapted, "_adapter")
    through = run(adapted, ids, torch.arange(time)[None] % 16)
    if np.abs(golden["logits_adapter64"] - through.numpy()).max() < 0.1:
        sys.exit(f"{name}: documents make no difference")
    made_with = ", ".join(f"{package} {version}" for package, version in VERSIONS.items())
    save_file({k: np.asarray(v, order="C") for k, v in golden.items()}, target,
              metadata={"made_with": made_with})
    print(name, target.stat().st_size, "bytes")


def main():
    for package, expected in VERSIONS.items():
        actual = sys.modules[package].__version__.split("+")[0]
        if actual != expected:
            sys.exit(f"{package} is {actual}, the committed files were made with {expected}")
    torch.set_num_threads(1)
    make_golden.transformers.utils.logging.set_verbosity_error()
    make_golden.transformers.utils.logging.disable_progress_bar()
    for name in CASES:
        make(pathlib.Path(sys.argv[1]), name)


if __name__ == "__main__":
    main()
