# SPDX-License-Identifier: MIT
"""Language models: the Llama family and GPT-2, with what only they have: layers that differ, and other granularities."""
import json

from cross_bench import BF16_TOLERANCE, TOLERANCE, UNKNOWN, Failure, difference, randomise, rows_in, save_source, silence, survived
from cross_model import agrees, check_adapters, check_files, measured
from cross_parts import blocks, maps, mask_like
import numpy as np
import peft
import torch
import transformers

SMALL = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
             pad_token_id=None, tie_word_embeddings=False)
GPT2 = dict(vocab_size=64, n_embd=32, n_layer=3, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)
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
    "gpt2": ("gpt2", {}, {}),
    "gpt2-odd": ("gpt2", dict(n_embd=30, n_head=3, n_inner=37, activation_function="gelu", scale_attn_by_inverse_layer_idx=True), {}),
    "gpt2-bf16": ("gpt2", dict(scale_attn_weights=False, activation_function="relu"), dict(dtype=torch.bfloat16)),
}
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "all-linear": dict(r=4, lora_alpha=8, target_modules=LINEAR),
    "rslora-qv": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], use_rslora=True),
    "rank-pattern": dict(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"],
                         rank_pattern={"model.layers.1.self_attn.q_proj": 2},
                         alpha_pattern={"layers.0.mlp.down_proj": 3}),
    "regex": dict(r=3, lora_alpha=5, target_modules=r".*\.layers\.1\..*(k_proj|up_proj)"),
}
FUSED = {  # of which q, k and v are one map, stored the other way round
    "all-linear": dict(r=4, lora_alpha=8, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True),
    "rslora-c_attn": dict(r=3, lora_alpha=5, target_modules=["c_attn"], use_rslora=True, fan_in_fan_out=True),
    "rank-pattern": dict(r=4, lora_alpha=8, target_modules=["c_attn", "mlp.c_proj"], fan_in_fan_out=True,
                         rank_pattern={"transformer.h.1.attn.c_attn": 2}, alpha_pattern={"h.0.mlp.c_proj": 3}),
}


class Language:
    has_head = False

    def __init__(self, folder, name, data, seed):
        self.name, self.data, self.seed = name, data, seed
        kind, changes, options = MODELS[name]
        self.source = folder / name / "source"
        self.heads_leave = options.get("attention", True)
        self.dtype = options.get("dtype", torch.float32)
        self.tolerance = BF16_TOLERANCE if self.dtype == torch.bfloat16 else TOLERANCE
        self.task = dict(task_type="CAUSAL_LM")
        self.fused = kind == "gpt2"
        config = transformers.AutoConfig.for_model(kind, **{**(GPT2 if self.fused else SMALL), **changes, **UNKNOWN})
        model = transformers.AutoModelForCausalLM.from_config(config)
        randomise(model, seed)
        shard = {"max_shard_size": options["max_shard_size"]} if "max_shard_size" in options else {}
        save_source(model.to(self.dtype), self.source, **shard)
        if options.get("v4"):
            path = self.source / "config.json"
            written = json.loads(path.read_text())
            written["rope_scaling"] = written.pop("rope_parameters")
            written["rope_theta"] = written["rope_scaling"].pop("rope_theta")
            written["torch_dtype"] = written.pop("dtype")
            path.write_text(json.dumps(written))
        self.ids = torch.randint(0, SMALL["vocab_size"], (2, 24), generator=torch.Generator().manual_seed(seed))

    def load(self, directory):
        return transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, trust_remote_code=True,
                                                                 attn_implementation="eager").eval()

    def outputs(self, model):
        with torch.no_grad():
            return model(input_ids=self.ids, use_cache=False).logits.double().numpy()

    def loss(self, directory, adapter=None):
        stream = torch.from_numpy(np.load(self.data).astype(np.int64))
        count = (len(stream) - 1) // 16
        windows = torch.stack([stream[i * 16:i * 16 + 17] for i in range(count)])
        model = self.load(directory)
        if adapter is not None:
            model = peft.PeftModel.from_pretrained(model, adapter).eval()
        with torch.no_grad():
            scores = model(input_ids=windows[:, :-1]).logits.double()
        return float(torch.nn.functional.cross_entropy(scores.flatten(0, 1), windows[:, 1:].flatten()))

    def peft_names(self, names):
        return names.split(",")


def check_compact(bench, subject):
    """Layers that differ, each in its own shape: no stock class loads them, the one beside them does."""
    source, out, back = subject.source, subject.source.parent / "out", subject.source.parent / "back"

    def compact():
        bench.run("prune-uneven", model=source, data=subject.data, out=out, layout="compact")
        survived(source, out)
        config = json.loads((out / "config.json").read_text())
        if config["model_type"] in transformers.CONFIG_MAPPING:
            raise Failure(f"model_type is {config['model_type']}, which a stock class loads")
        pruned, masked = subject.load(out), subject.load(source)
        dense = subject.outputs(masked)
        kept = mask_like(masked, pruned)
        if len(set(kept)) == 1 and subject.heads_leave:
            raise Failure(f"the layers do not differ: {kept}")
        if sum(n.numel() for n in pruned.parameters()) >= sum(n.numel() for n in masked.parameters()):
            raise Failure("the compact model is not smaller")
        found = agrees(subject, out, masked, dense)
        greedy = pruned.generate(subject.ids[:1], max_new_tokens=8, do_sample=False, pad_token_id=0)  # with a cache
        again = masked.generate(subject.ids[:1], max_new_tokens=8, do_sample=False, pad_token_id=0)
        if not torch.equal(greedy, again):
            raise Failure("generation with a cache differs from the masked source")
        bench.run("export", model=out, out=back)
        return [found, (difference(subject.outputs(subject.load(back)), subject.outputs(masked)), TOLERANCE),
                measured(bench, subject, out)]

    bench.check(f"{subject.name}: prune to compact = masked source", compact)


def without_layers(source, pruned):
    """Layers of `source` that `pruned` no longer has add nothing any more."""
    kept = []
    for layer in blocks(pruned):
        same = [i for i, other in enumerate(blocks(source)) if torch.equal(maps(layer)[2], maps(other)[2])]
        if len(same) != 1:
            raise Failure(f"a layer of the pruned file is {len(same)} times in the source")
        kept += same
    with torch.no_grad():
        for i, layer in enumerate(blocks(source)):
            if i not in kept:
                fused = hasattr(layer, "attn")
                silence(layer.attn.c_proj if fused else layer.self_attn.o_proj)
                silence(layer.mlp.c_proj if fused else layer.mlp.down_proj)
    if kept != sorted(kept) or not 0 < len(kept) < len(blocks(source)):
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


def check_granularity(bench, subject):
    source, out = subject.source, subject.source.parent / "out"

    def prune(granularity, layout, sparsity, cut):
        bench.run("prune-by", model=source, data=subject.data, out=out, granularity=granularity, layout=layout, sparsity=sparsity)
        survived(source, out)
        config = json.loads((out / "config.json").read_text())
        if config["model_type"] not in transformers.CONFIG_MAPPING or "head_dim" not in config and not subject.fused:
            raise Failure("config.json is none of a stock class with its head_dim")
        pruned, masked = subject.load(out), subject.load(source)
        dense = subject.outputs(masked)
        cut(masked, pruned)
        if sum(n.numel() for n in pruned.parameters()) >= sum(n.numel() for n in masked.parameters()):
            raise Failure("the pruned model is not smaller")
        if granularity.startswith("queries") and pruned.config.num_key_value_heads != masked.config.num_key_value_heads:
            raise Failure("key-value heads have left")
        return agrees(subject, out, masked, dense)[0], subject.tolerance

    bench.check(f"{subject.name}: layers, uniform", lambda: prune("layers", "uniform", "0.5", without_layers))
    if subject.fused:
        return
    if MODELS[subject.name][1].get("num_key_value_heads") != 4:
        bench.check(f"{subject.name}: queries, uniform", lambda: prune("queries", "uniform", "0.5", mask_like))
        bench.check(f"{subject.name}: queries-free, padded", lambda: prune("queries-free", "padded", "0.4", mask_like))
    bench.check(f"{subject.name}: hidden, uniform", lambda: prune("hidden", "uniform", "0.25", without_hidden))


def check_language(bench, seed):
    data = bench.folder / "tokens.npy"
    np.save(data, np.random.default_rng(seed).integers(0, SMALL["vocab_size"], 2049).astype(np.int32))
    for i, name in enumerate(MODELS):
        subject = Language(bench.folder, name, data, seed + i)
        check_files(bench, subject, uniform=not subject.fused)
        check_compact(bench, subject)
        if name not in ("llama-linear", "llama-v4", "llama-sharded", "gpt2-odd"):  # the last one counts its layers
            check_granularity(bench, subject)
        if subject.fused:
            check_adapters(bench, subject, FUSED, ["c_attn,c_proj,c_fc", "c_attn"])
        elif name in ("llama-gqa", "qwen2", "llama-bf16"):
            check_adapters(bench, subject, ADAPTERS, [",".join(LINEAR), "q_proj,v_proj"])
