# SPDX-License-Identifier: MIT
"""Where the maps that are pruned stand in each kind of model, and a source in which is silenced what a pruned file lost."""
import numpy as np
import torch
from cross_bench import Failure, rows_in


def blocks(model):
    base = model.base_model
    return base.layers if hasattr(base, "layers") else base.h if hasattr(base, "h") else base.encoder.layer


def maps(block):
    """(q, o, up, down) of a block as views of weights, [out, in] each."""
    if hasattr(block, "attn"):  # GPT-2 stores [in, out], and q, k and v in one
        c_attn = block.attn.c_attn.weight.T
        found = c_attn[:c_attn.shape[0] // 3], block.attn.c_proj.weight.T, block.mlp.c_fc.weight.T, block.mlp.c_proj.weight.T
    elif hasattr(block, "self_attn"):
        found = [m.weight for m in (block.self_attn.q_proj, block.self_attn.o_proj, block.mlp.gate_proj, block.mlp.down_proj)]
    elif hasattr(block.attention, "q_proj"):
        found = [m.weight for m in (block.attention.q_proj, block.attention.o_proj, block.mlp.fc1, block.mlp.fc2)]
    else:
        own = block.attention.self
        query = own.query if hasattr(own, "query") else own.query_proj
        found = [m.weight for m in (query, block.attention.output.dense, block.intermediate.dense, block.output.dense)]
    return [w.detach() for w in found]


def head_width(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def mask_like(source, pruned):
    """Cut from `source`, in place, what `pruned` no longer has. Returns (kept channels, kept heads) of each layer."""
    kept = []
    width = head_width(source.config)
    for before, after in zip(blocks(source), blocks(pruned), strict=True):
        q, o, up, down = maps(before)
        smaller_q, _, smaller_up, _ = maps(after)
        channels = rows_in(up.numpy(), smaller_up.numpy(), 1)
        heads = rows_in(q.numpy(), smaller_q.numpy(), width)
        down[:, np.setdiff1d(np.arange(up.shape[0]), channels)] = 0
        for head in set(range(source.config.num_attention_heads)) - set(heads):
            o[:, head * width:(head + 1) * width] = 0
        kept.append((len(channels), len(heads)))
    return kept


def expect_cut(kept, full, channels=0.5, heads=None):
    """That about this share of the channels has stayed, and that heads have left, or all (heads=...) are there."""
    share = sum(k[0] for k in kept) / len(kept) / full
    if not channels - 0.3 <= share <= channels + 0.3 or share == 1:
        raise Failure(f"kept {share:.0%} of the channels, expected about {channels:.0%}")
    if heads is not None and any(k[1] != heads for k in kept):
        raise Failure(f"heads have left: {kept}")
