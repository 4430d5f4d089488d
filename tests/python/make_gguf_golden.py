#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""GGUF files by the reference writer (the package `gguf`), from the checkpoints in tests/data/hf.

    python3 tests/python/make_gguf_golden.py tests/data

The committed files were made with gguf 0.19.0, torch 2.15.0 and numpy 2.4.6. Which key and which tensor a file holds, and
in which order, is written down here a second time, in numpy, so that the two can be held against each other.

<out>/gguf/container.gguf   every kind of value and of tensor that is written
<out>/gguf/files.json       SHA-256 of whole files:
    <case>                  a checkpoint of tests/data/hf as it is
    <case>/deci             the same without the units that `gone` names, every layer in its own shape
    <case>/padded           the same, filled up with zeros to the widest layer
    tokenizer/<name>        no tensors, but the vocabulary of tests/data/tokenizers/<name>.json
    tokenizer/bytes         … or 256 bytes
"""
import argparse
import hashlib
import json
import math
import pathlib
import tempfile

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

VERSIONS = {"gguf": "0.19.0", "torch": "2.15.0", "numpy": "2.4.6"}
CASES = ["llama-mha", "llama-gqa", "llama-mqa", "llama-bias", "llama-tied", "llama-head-dim", "llama-rope-linear",
         "llama-rope-llama3", "llama-v4-config", "llama-bf16", "llama-sharded", "mistral", "qwen2", "qwen3"]
DECI = ["llama-gqa", "llama-tied", "llama-rope-llama3", "llama-bf16"]
PADDED = ["llama-gqa", "qwen3"]
TOKENIZERS = ["gpt2", "llama2", "llama3", "mistral", "qwen2"]
INNER = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def put(writer, name, tensor):
    """Matrices as they are, vectors as F32."""
    if tensor.dim() == 1:
        tensor = tensor.float()
    if tensor.dtype == torch.bfloat16:
        array = tensor.contiguous().view(torch.uint8).numpy()
        writer.add_tensor(name, array, raw_dtype=gguf.GGMLQuantizationType.BF16)
    else:
        writer.add_tensor(name, tensor.contiguous().numpy())


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def container(path):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("a.text", "espalier: h\u00e9llo \u2581 \n")
    writer.add_uint32("a.count", 4294967295)
    writer.add_float32("a.number", 0.1)
    writer.add_bool("a.yes", True)
    writer.add_bool("a.no", False)
    writer.add_array("a.integers", [3, -1, 2147483647])
    writer.add_array("a.numbers", [0.5, -1e30, 3.25])
    writer.add_array("a.texts", ["x", "b", "\u00fc\u00fc"])
    ramp = torch.arange(24, dtype=torch.float32) / 3 - 2
    put(writer, "vector", ramp[:5])
    put(writer, "half.weight", ramp.reshape(4, 6).half())
    put(writer, "blk.0.short.weight", ramp[:21].reshape(3, 7).bfloat16())
    put(writer, "whole.weight", ramp[:8].reshape(1, 8))
    put(writer, "cube", ramp.reshape(2, 3, 4))
    finish(writer)


def gone(layer, units):
    """Units that leave: the same rule stands in tests/model/save_gguf.test.cpp."""
    return [u for u in range(layer, units - 1, 3 - layer % 2)]


def prune(tensors, config, layout):
    """Cut the checkpoint; returns (heads, key-value heads, feed-forward) of each layer."""
    width = config["head_dim"]
    queries = config["num_attention_heads"] // config["num_key_value_heads"]
    kept = []
    for layer in range(config["num_hidden_layers"]):
        out = [gone(layer, n) for n in (config["num_key_value_heads"], config["intermediate_size"])]
        kept.append([[u for u in range(n) if u not in left] for n, left in
                     zip((config["num_key_value_heads"], config["intermediate_size"]), out)])
    most = [max(len(k[i]) for k in kept) for i in (0, 1)]
    for layer, (groups, channels) in enumerate(kept):
        def cut(name, units, size, axis, fill):
            tensor = tensors[name]
            rows = [u * size + i for u in units for i in range(size)]
            tensor = tensor.index_select(axis, torch.tensor(rows))
            if layout == "padded" and len(units) < fill:
                shape = list(tensor.shape)
                shape[axis] = (fill - len(units)) * size
                tensor = torch.cat([tensor, torch.zeros(shape, dtype=tensor.dtype)], axis)
            tensors[name] = tensor
        at = f"model.layers.{layer}."
        cut(at + "self_attn.q_proj.weight", groups, queries * width, 0, most[0])
        cut(at + "self_attn.k_proj.weight", groups, width, 0, most[0])
        cut(at + "self_attn.v_proj.weight", groups, width, 0, most[0])
        cut(at + "self_attn.o_proj.weight", groups, queries * width, 1, most[0])
        cut(at + "mlp.gate_proj.weight", channels, 1, 0, most[1])
        cut(at + "mlp.up_proj.weight", channels, 1, 0, most[1])
        cut(at + "mlp.down_proj.weight", channels, 1, 1, most[1])
    sizes = [(len(g), len(c)) if layout == "deci" else tuple(most) for g, c in kept]
    return [(g * queries, g, c) for g, c in sizes]


def interleave(tensor, width):
    """transformers turns (j, j + width/2), llama.cpp's `llama` (2j, 2j + 1)."""
    heads = tensor.shape[0] // width
    return tensor.reshape(heads, 2, width // 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def rope_factors(config, rope, theta):
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    length = rope["original_max_position_embeddings"]
    factors = []
    for j in range(config["head_dim"] // 2):
        frequency = theta ** (-2 * j / config["head_dim"])
        wave = 2 * math.pi / frequency
        if wave > length / low:
            factors.append(factor)
        elif wave < length / high:
            factors.append(1.0)
        else:
            smooth = (length / wave - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return torch.tensor(factors, dtype=torch.float64).float()


def model(folder, name, layout, path):
    case = folder / "hf" / name
    config = json.loads((case / "config.json").read_text())
    tensors = {}
    for file in sorted(case.glob("model*.safetensors")):
        tensors.update(load_file(file))
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    config.setdefault("head_dim", None)
    config["head_dim"] = config["head_dim"] or config["hidden_size"] // heads
    layers = [(heads, groups, config["intermediate_size"])] * config["num_hidden_layers"]
    if layout != "whole":
        layers = prune(tensors, config, layout)
    kind = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}[config["model_type"]]
    kind = "deci" if layout == "deci" else kind
    rope = config.get("rope_parameters") or dict(config.get("rope_scaling") or {}, rope_theta=config["rope_theta"])
    embedding = tensors["model.embed_tokens.weight"].dtype

    writer = gguf.GGUFWriter(path, kind)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_file_type({torch.float32: 0, torch.float16: 1, torch.bfloat16: 32}[embedding])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    many = layout == "deci"
    writer.add_feed_forward_length([w[2] for w in layers] if many else layers[0][2])
    writer.add_head_count([w[0] for w in layers] if many else layers[0][0])
    writer.add_head_count_kv([w[1] for w in layers] if many else layers[0][1])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    writer.add_tokenizer_model("none")

    if rope.get("rope_type") == "llama3":
        put(writer, "rope_freqs.weight", rope_factors(config, rope, rope["rope_theta"]))
    put(writer, "token_embd.weight", tensors["model.embed_tokens.weight"])
    for layer in range(config["num_hidden_layers"]):
        for old, new in INNER.items():
            for end in ("weight", "bias"):
                tensor = tensors.get(f"model.layers.{layer}.{old}.{end}")
                if tensor is None:
                    continue
                if kind in ("llama", "deci") and new in ("attn_q", "attn_k"):
                    tensor = interleave(tensor, config["head_dim"])
                put(writer, f"blk.{layer}.{new}.{end}", tensor)
    put(writer, "output_norm.weight", tensors["model.norm.weight"])
    if not config["tie_word_embeddings"]:
        put(writer, "output.weight", tensors["lm_head.weight"])
    finish(writer)


PRE = {"gpt2": "gpt-2", "llama3": "llama-bpe", "qwen2": "qwen2"}
BETWEEN = {"llama2": True, "mistral": True}  # a space before the text


def tokenizer(folder, name, path):
    writer = gguf.GGUFWriter(path, "llama")
    if name == "bytes":
        writer.add_tokenizer_model("llama")
        writer.add_token_list(["\u2581" if byte == 32 else f"<0x{byte:02X}>" for byte in range(256)])
        writer.add_token_scores([0.0] * 256)
        writer.add_token_types([gguf.TokenType.NORMAL if byte == 32 else gguf.TokenType.BYTE for byte in range(256)])
        writer.add_add_space_prefix(False)
        writer.add_add_bos_token(False)
        writer.add_add_eos_token(False)
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(0)
        writer.add_unk_token_id(0)
        return finish(writer)
    file = json.loads((folder / "tokenizers" / f"{name}.json").read_text())
    bpe = file["model"]
    vocab = dict(bpe["vocab"])
    size = max([*vocab.values(), *(a["id"] for a in file["added_tokens"])]) + 4  # three ids without a token
    tokens = [f"[PAD{i}]" for i in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    scores = [0.0] * size
    spaces = name in BETWEEN
    merges = [" ".join(m) if isinstance(m, list) else m for m in bpe["merges"]]
    ranks = {}
    for merge in merges:
        ranks.setdefault(merge.replace(" ", ""), len(ranks) + 1)
    for token, i in vocab.items():
        byte = spaces and len(token) == 6 and token.startswith("<0x")
        tokens[i], types[i] = token, gguf.TokenType.BYTE if byte else gguf.TokenType.NORMAL
    for added in file["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    if bpe["unk_token"]:
        types[tokens.index(bpe["unk_token"])] = gguf.TokenType.UNKNOWN
    for i, token in enumerate(tokens):
        if types[i] == gguf.TokenType.NORMAL:
            scores[i] = -float(ranks.get(token, len(ranks) + 1))
    writer.add_tokenizer_model("llama" if spaces else "gpt2")
    if not spaces:
        writer.add_tokenizer_pre(PRE[name])
    writer.add_token_list(tokens)
    if spaces:
        writer.add_token_scores(scores)
    writer.add_token_types(types)
    if not spaces:
        writer.add_token_merges(merges)
    else:
        writer.add_add_space_prefix(BETWEEN[name])
    if bpe["unk_token"]:
        writer.add_unk_token_id(tokens.index(bpe["unk_token"]))
    first = {"llama2": "<s>", "mistral": "<s>", "llama3": "<|begin_of_text|>"}.get(name)
    writer.add_add_bos_token(first is not None)
    writer.add_add_eos_token(False)
    if first is not None:
        writer.add_bos_token_id(tokens.index(first))
    finish(writer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--any-version", action="store_true")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the files in this folder")
    arguments = parser.parse_args()
    import importlib.metadata
    for package, wanted in VERSIONS.items():
        found = importlib.metadata.version(package).split("+")[0]
        if found != wanted and not arguments.any_version:
            raise SystemExit(f"{package} is {found}, the committed files were made with {wanted}: --any-version uses it all the same")
    data = arguments.data
    out = data / "gguf"
    out.mkdir(exist_ok=True)
    container(out / "container.gguf")
    sums = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)

        def add(name, make, *rest):
            path = folder / (name.replace("/", "-") + ".gguf")
            make(data, *rest, path)
            sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()

        for name in CASES:
            add(name, model, name, "whole")
        for name in DECI:
            add(f"{name}/deci", model, name, "deci")
        for name in PADDED:
            add(f"{name}/padded", model, name, "padded")
        for name in [*TOKENIZERS, "bytes"]:
            add(f"tokenizer/{name}", tokenizer, name)
    (out / "files.json").write_text(json.dumps(sums, indent=1) + "\n")


if __name__ == "__main__":
    main()
