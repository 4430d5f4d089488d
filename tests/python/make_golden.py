#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tiny random checkpoints written by transformers and peft, with what those libraries compute from them.

    python3 tests/python/make_golden.py tests/data/hf

The committed files were made with torch 2.15.0, transformers 5.23.0, peft 0.21.2, safetensors 0.8.0 and numpy 2.4.6
(`pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0 numpy==2.4.6`) on one thread. Of transformers
`deberta-published` has 5.24.0, which writes the other cases as 5.23.0 did but for its own number.
Other versions are refused unless --any-version is given: a golden file is worth nothing when nobody knows its source.

<out>/<case>/             what `save_pretrained` wrote: config.json, model.safetensors (or shards and an index)
<out>/<case>/adapter/     what peft wrote: adapter_config.json, adapter_model.safetensors; lora_B is not zero
    of a task: its head beside the adapters, moved away from the base model's (modules_to_save)
<out>/<case>/golden.safetensors
    input_ids, labels     I64 [batch, time]; a label of -100 is ignored. As everywhere in transformers the model shifts:
                          logits[:, t] are scored against labels[:, t + 1].
    logits, logits64      of the base model as read back by from_pretrained, in float32 and in float64
    loss, loss64          mean cross-entropy over the targets that count; shape []
    logits_adapter, logits_adapter64, loss_adapter, loss_adapter64       with the adapter, unmerged
    grad.<tensor>         F64, d loss / d tensor, for every tensor of adapter_model.safetensors, under its name there
    pixel_values          F32 [batch, channels, height, width], in place of input_ids
    attention_mask, token_type_ids        of encoders, where they were given; labels as the task has them
    base_grad.<tensor>    F64, d loss / d tensor of the base weights with the adapter in place (two cases only)

Whatever dtype is stored, the float32 results come from the stored values widened to float32, the float64 results from
the same values widened to float64. transformers computes norms, rotary angles, softmax and loss in float32 even in a
double model; `all_double` lifts that, so that the float64 results are good to about 1e-14.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore", FutureWarning)

import numpy as np
import peft
import safetensors
import torch
import transformers
from safetensors.numpy import load_file, save_file

VERSIONS = {"torch": "2.15.0", "transformers": "5.23.0", "peft": "0.21.2", "safetensors": "0.8.0", "numpy": "2.4.6"}
ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

SMALL = dict(vocab_size=48, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
             pad_token_id=None, tie_word_embeddings=False)

BERT_LINEAR = ["query", "key", "value", "dense"]
SMALL_BERT = dict(vocab_size=40, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
                  max_position_embeddings=16, type_vocab_size=2, layer_norm_eps=1e-6, initializer_range=0.05,
                  hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)

DEBERTA_LINEAR = ["query_proj", "key_proj", "value_proj", "attention.output.dense", "intermediate.dense", "output.dense"]
# As the third version is: log buckets, maps shared, the positions' norm, nothing absolute.
SMALL_DEBERTA = dict(vocab_size=40, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
                     max_position_embeddings=12, type_vocab_size=0, layer_norm_eps=1e-6, initializer_range=0.05,
                     hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, relative_attention=True, position_buckets=6,
                     max_relative_positions=-1, share_att_key=True, pos_att_type="p2c|c2p", norm_rel_ebd="layer_norm",
                     position_biased_input=False, pooler_dropout=0, pooler_hidden_act="gelu")

SMALL_VIT = dict(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20, image_size=8, patch_size=4,
                 num_channels=3, layer_norm_eps=1e-6, initializer_range=0.05)

GPT2_LINEAR = ["c_attn", "c_proj", "c_fc"]
SMALL_GPT2 = dict(vocab_size=48, n_embd=24, n_layer=2, n_head=4, n_positions=16, bos_token_id=1, eos_token_id=2,
                  resid_pdrop=0.0, attn_pdrop=0.0, embd_pdrop=0.0)


SIZES = {"gpt2": SMALL_GPT2, "bert": SMALL_BERT, "roberta": SMALL_BERT, "vit": SMALL_VIT, "deberta-v2": SMALL_DEBERTA}


def rope(kind="default", theta=10000.0, **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=128)

# name -> (model type, changes to SMALL, options of this script)
CASES = {
    "llama-mha": ("llama", dict(num_key_value_heads=4), {}),
    "llama-gqa": ("llama", {}, dict(base_grad=True)),
    "llama-gqa-rslora": ("llama", {}, dict(rslora=True, targets=["q_proj", "v_proj"])),
    "llama-mqa": ("llama", dict(num_key_value_heads=1), {}),
    "llama-bias": ("llama", dict(attention_bias=True, mlp_bias=True), {}),
    "llama-tied": ("llama", dict(tie_word_embeddings=True), {}),
    "llama-head-dim": ("llama", dict(head_dim=8), {}),
    "llama-rope-linear": ("llama", dict(rope_parameters=rope("linear", factor=4.0)), dict(time=13)),
    # Head dimension 8 gives wavelengths 6.3, 63, 628, 6283: one kept, one in the smooth band, two divided.
    "llama-rope-llama3": ("llama", dict(head_dim=8, rope_parameters=rope("llama3", **LLAMA3)), dict(time=13)),
    "llama-v4-config": ("llama", dict(head_dim=8, rope_parameters=rope("llama3", 50000.0, **LLAMA3)),
                        dict(time=13, v4=True)),
    "llama-bf16": ("llama", {}, dict(dtype=torch.bfloat16)),
    "llama-sharded": ("llama", {}, dict(shard="20KB")),
    "mistral": ("mistral", dict(sliding_window=None), {}),
    "qwen2": ("qwen2", dict(rope_parameters=rope(theta=1000000.0)), {}),
    "qwen3": ("qwen3", dict(head_dim=8, rope_parameters=rope(theta=1000000.0)), dict(base_grad=True)),
    "gpt2": ("gpt2", {}, {}),
    "gpt2-odd": ("gpt2", dict(n_head=3, n_inner=35, activation_function="gelu", scale_attn_by_inverse_layer_idx=True),
                 dict(targets=["c_attn"], dtype=torch.bfloat16, ranks={"transformer.h.1.attn.c_attn": 3},
                      alphas={"transformer.h.0.attn.c_attn": 6, "transformer.h.1.attn.c_attn": 5})),
    "gpt2-bare": ("gpt2", dict(scale_attn_weights=False, activation_function="relu"), dict(bare=True)),
    "bert-classes": ("bert", dict(num_labels=3), dict(task="classes", targets=BERT_LINEAR)),
    "bert-regression": ("bert", dict(num_labels=1, hidden_act="relu", num_attention_heads=2),
                        dict(task="classes", targets=["query", "value"], bare=True)),
    "bert-several": ("bert", dict(num_labels=4, problem_type="multi_label_classification", num_hidden_layers=1),
                     dict(task="classes", targets=["key", "attention.output.dense"],
                          ranks={"bert.encoder.layer.0.attention.self.key": 3},
                          alphas={"bert.encoder.layer.0.attention.output.dense": 5})),
    "bert-masked": ("bert", dict(hidden_act="gelu_new"), dict(task="masked", targets=BERT_LINEAR, dtype=torch.bfloat16)),
    "roberta-classes": ("roberta", dict(num_labels=3, type_vocab_size=1, pad_token_id=1, max_position_embeddings=12),
                        dict(task="classes", targets=["query", "value", "intermediate.dense"])),
    "roberta-masked": ("roberta", dict(type_vocab_size=1, pad_token_id=1), dict(task="masked", targets=BERT_LINEAR)),
    "vit": ("vit", dict(num_labels=3), dict(task="images", targets=["q_proj", "v_proj", "o_proj", "fc1", "fc2"])),
    # A row of pixels that belongs to no patch.
    "vit-odd": ("vit", dict(num_labels=5, image_size=[7, 6], patch_size=[3, 2], num_channels=2, num_attention_heads=2,
                            num_hidden_layers=1, qkv_bias=False, hidden_act="gelu_new"),
                dict(task="images", targets=["k_proj", "fc2"], dtype=torch.bfloat16)),
    "deberta-classes": ("deberta-v2", dict(num_labels=3), dict(task="classes", targets=DEBERTA_LINEAR, saved=["classifier", "pooler"])),
    # As the second version may be: maps of their own for positions, no buckets, and distances beyond the last one.
    "deberta-apart": ("deberta-v2", dict(num_labels=1, num_attention_heads=2, share_att_key=False, position_buckets=-1,
                                         max_relative_positions=5, norm_rel_ebd="none", position_biased_input=True,
                                         type_vocab_size=2, hidden_act="gelu_new", num_hidden_layers=1),
                      dict(task="classes", targets=["query_proj", "value_proj", "pos_key_proj", "pos_query_proj"],
                           saved=["classifier", "pooler"], dtype=torch.bfloat16)),
    "deberta-masked": ("deberta-v2", dict(pos_att_type=["p2c"], position_buckets=4, num_attention_heads=4),
                       dict(task="masked", targets=["query_proj", "key_proj", "value_proj", "dense"])),
    # Nothing relative; the terms change the scale nevertheless. Saved as the base model is.
    "deberta-plain": ("deberta-v2", dict(num_labels=4, problem_type="multi_label_classification", num_hidden_layers=1,
                                         relative_attention=False, pos_att_type=["c2p"], position_biased_input=True),
                      dict(task="classes", targets=["key_proj", "output.dense"], bare=True, saved=["classifier", "pooler"])),
    # As the larger ones of the second version: a convolution beside the first layer.
    "deberta-convolution": ("deberta-v2", dict(num_labels=2, conv_kernel_size=5, conv_act="gelu", num_attention_heads=2),
                            dict(task="classes", targets=["query_proj", "key_proj", "output.dense"], saved=["classifier", "pooler"])),
    # Ranks and scales of single maps, and of one both.
    "llama-patterns": ("llama", dict(vocab_size=24, hidden_size=12, intermediate_size=20, head_dim=4, num_attention_heads=2,
                                     num_key_value_heads=1),
                       dict(targets=["q_proj", "v_proj", "down_proj"],
                            ranks={"model.layers.0.mlp.down_proj": 3, "model.layers.1.self_attn.q_proj": 2},
                            alphas={"model.layers.0.mlp.down_proj": 5, "model.layers.1.self_attn.v_proj": 3})),
    # As published checkpoints call the head for hidden tokens: lm_predictions.lm_head.
    "deberta-published": ("deberta-v2", dict(legacy=False, num_hidden_layers=1, vocab_size=24),
                          dict(task="masked", targets=["query_proj", "value_proj", "dense"])),
}


@contextlib.contextmanager
def all_double():
    """Everything that transformers computes in float32 on purpose is computed in float64 inside this block."""
    saved = torch.float32, torch.float, torch.Tensor.float
    default = torch.get_default_dtype()
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(default)
        torch.float32, torch.float, torch.Tensor.float = saved


def randomise(model, generator):
    """Nothing degenerate: norm weights differ from 1, biases from 0, activations stay near unit size."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            if name.endswith("bias"):
                p.copy_(0.3 * noise)
            elif p.dim() == 1:
                p.copy_(1.0 + 0.3 * noise)
            elif "patch_embeddings" in name or p.dim() == 3:
                p.copy_(noise / p[0].numel() ** 0.5)
            elif "embeddings." in name or "embed_tokens" in name or ".wte" in name or ".wpe" in name:
                p.copy_(0.8 * noise)
            else:
                p.copy_(1.2 * noise / p.shape[1] ** 0.5)


def write_v4_config(directory):
    """The spelling of transformers 4: rope_theta, rope_scaling and torch_dtype at the top level."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    scaling = config.pop("rope_parameters")
    config["torch_dtype"] = config.pop("dtype")
    config["rope_theta"] = scaling.pop("rope_theta")
    config["rope_scaling"] = scaling
    config["transformers_version"] = "4.45.0"
    config["pretraining_tp"] = 1
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def write_bare(directory):
    """As the first published checkpoints are: names without "transformer.", and the causal masks stored."""
    path = directory / "model.safetensors"
    tensors = {k.removeprefix("transformer."): v for k, v in load_file(path).items()}
    tensors["h.0.attn.bias"] = np.tril(np.ones((1, 1, 16, 16), np.float32))
    tensors["h.0.attn.masked_bias"] = np.array(-1e4, np.float32)
    save_file(tensors, path, metadata={"format": "pt"})


AUTO = {None: "AutoModelForCausalLM", "classes": "AutoModelForSequenceClassification", "masked": "AutoModelForMaskedLM",
        "images": "AutoModelForImageClassification"}


def write_old_bert(directory):
    """As the first published checkpoints are: gamma and beta, position numbers stored, no head, no prefix."""
    path = directory / "model.safetensors"
    tensors = {k.removeprefix("bert."): v for k, v in load_file(path).items()}
    tensors = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
               for k, v in tensors.items()}
    tensors["embeddings.position_ids"] = np.arange(16, dtype=np.int64)[None]
    save_file(tensors, path, metadata={"format": "pt"})


def write_base_deberta(directory):
    """As the base model is saved: no prefix."""
    path = directory / "model.safetensors"
    save_file({k.removeprefix("deberta."): v for k, v in load_file(path).items()}, path, metadata={"format": "pt"})


BARE = {"gpt2": write_bare, "bert": write_old_bert, "deberta-v2": write_base_deberta}


def load_base(directory, double, task=None):
    model = getattr(transformers, AUTO[task]).from_pretrained(directory, dtype=torch.float32,
                                                              attn_implementation="eager")
    if not double:
        return model.eval()
    with all_double():
        wide = type(model)(model.config)
        wide.load_state_dict({k: v.to(torch.float64) for k, v in model.state_dict().items()})
    return wide.eval()


def evaluate(model, inputs, double, backward=False):
    with all_double() if double else contextlib.nullcontext():
        if double:
            inputs = {k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v for k, v in inputs.items()}
        out = model(**inputs)
        if backward:
            out.loss.backward()
    return out.logits.detach().numpy(), out.loss.detach().numpy()


def draw_tokens(config, options, generator):
    time = options.get("time", 7)
    ids = torch.randint(0, config.vocab_size, (2, time), generator=generator)
    labels = ids.clone()
    labels[0, 1] = labels[1, time - 1] = -100
    return dict(input_ids=ids, labels=labels, use_cache=False)


def draw_text(config, options, generator):
    """Three sequences: one whole, one padded behind, one padded before and with a hole; pads are pads for RoBERTa, too."""
    batch, time = 3, 9
    ids = torch.randint(2, config.vocab_size, (batch, time), generator=generator)
    mask = torch.ones(batch, time, dtype=torch.long)
    mask[1, 6:] = 0
    mask[2, :2] = mask[2, 5] = 0
    if config.model_type == "deberta-v2":  # whose pads see everything, whose pooler reads the first token and whose labels are text
        mask[2, :2] = 1
    ids[mask == 0] = config.pad_token_id
    ids[2, 5] = 7  # a hole is no pad
    inputs = dict(input_ids=ids, attention_mask=mask)
    if config.type_vocab_size > 1:
        inputs["token_type_ids"] = torch.randint(0, config.type_vocab_size, (batch, time), generator=generator)
    if options["task"] == "masked":
        inputs["labels"] = torch.where(torch.rand(batch, time, generator=generator) < 0.4, ids, torch.tensor(-100))
        if config.model_type == "deberta-v2":
            inputs["labels"][mask == 0] = -100
    elif config.problem_type == "multi_label_classification":
        inputs["labels"] = torch.randint(0, 2, (batch, config.num_labels), generator=generator).float()
    elif config.num_labels == 1:
        inputs["labels"] = torch.randn(batch, generator=generator)
    else:
        inputs["labels"] = torch.randint(0, config.num_labels, (batch,), generator=generator)
        inputs["labels"][1] = -100
    return inputs


def draw_images(config, options, generator):
    sides = config.image_size if isinstance(config.image_size, list) else [config.image_size] * 2
    labels = torch.randint(0, config.num_labels, (3,), generator=generator)
    return dict(pixel_values=torch.randn(3, config.num_channels, *sides, generator=generator), labels=labels)


def make(out, index, name):
    kind, changes, options = CASES[name]
    generator = torch.Generator().manual_seed(1000 + index)
    torch.manual_seed(2000 + index)
    directory = out / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)

    config = transformers.AutoConfig.for_model(kind, **{**SIZES.get(kind, SMALL), **changes})
    task = options.get("task")
    model = getattr(transformers, AUTO[task]).from_config(config, attn_implementation="eager")
    randomise(model, generator)
    model = model.to(options.get("dtype", torch.float32))
    model.save_pretrained(directory, **({"max_shard_size": options["shard"]} if "shard" in options else {}))
    if options.get("v4"):
        write_v4_config(directory)
    if options.get("bare"):
        BARE[kind](directory)

    draw = {None: draw_tokens, "images": draw_images}.get(task, draw_text)
    inputs = draw(config, options, generator)
    golden = {k: v.numpy() for k, v in inputs.items() if k != "use_cache"}

    narrow, wide = load_base(directory, False, task), load_base(directory, True, task)
    golden["logits"], golden["loss"] = evaluate(narrow, inputs, False)
    golden["logits64"], golden["loss64"] = evaluate(wide, inputs, True)

    targets = options.get("targets", GPT2_LINEAR if kind == "gpt2" else ALL_LINEAR)
    lora = peft.LoraConfig(r=2 if task else 4, lora_alpha=8, target_modules=targets, lora_dropout=0.0,
                           fan_in_fan_out=kind == "gpt2", use_rslora=options.get("rslora", False),
                           rank_pattern=options.get("ranks", {}), alpha_pattern=options.get("alphas", {}),
                           task_type={None: "CAUSAL_LM", "classes": "SEQ_CLS", "masked": None, "images": None}[task],
                           modules_to_save=["classifier"] if task == "images" else options.get("saved"))
    adapted = peft.get_peft_model(narrow, lora)
    with torch.no_grad():
        for key, p in adapted.named_parameters():
            if "lora_" in key or "modules_to_save" in key:
                p.copy_(0.5 * torch.randn(p.shape, generator=generator) / p.shape[-1] ** 0.5)
    adapted.peft_config["default"].base_model_name_or_path = name
    adapted.save_pretrained(directory / "adapter", save_embedding_layers=False)
    (directory / "adapter" / "README.md").unlink(missing_ok=True)
    stored = load_file(directory / "adapter" / "adapter_model.safetensors")

    golden["logits_adapter"], golden["loss_adapter"] = evaluate(adapted, inputs, False)
    # The adapter is read back by peft into the double model, so that the file itself is what is tested.
    adapted64 = peft.PeftModel.from_pretrained(wide, directory / "adapter", is_trainable=True).double().eval()
    for key, p in adapted64.named_parameters():
        p.requires_grad_("lora_" in key or "modules_to_save" in key or options.get("base_grad", False))
    golden["logits_adapter64"], golden["loss_adapter64"] = evaluate(adapted64, inputs, True, backward=True)
    seen = set()
    for key, p in adapted64.named_parameters():
        if "lora_" in key or "modules_to_save" in key:
            file_name = key.replace(".modules_to_save", "").replace(".default", "")
            if not np.array_equal(p.detach().numpy(), stored[file_name].astype(np.float64)):
                sys.exit(f"{name}: {file_name} was not read back exactly")
            golden["grad." + file_name] = p.grad.numpy()
            seen.add(file_name)
        elif options.get("base_grad"):
            plain = key.removeprefix("base_model.model.").replace(".base_layer", "")
            golden["base_grad." + plain] = p.grad.numpy()
    if seen != set(stored):
        sys.exit(f"{name}: gradients and adapter file disagree on names: {sorted(seen ^ set(stored))}")

    made_with = ", ".join(f"{package} {version}" for package, version in VERSIONS.items())
    golden = {k: np.asarray(v, order="C") for k, v in golden.items()}
    save_file(golden, directory / "golden.safetensors", metadata={"made_with": made_with})

    def gap(a, b):
        return float(np.abs(golden[a] - golden[b]).max() / np.abs(golden[b]).max())
    spread = float(np.abs(golden["logits_adapter64"] - golden["logits64"]).max())
    for f in directory.rglob("*"):
        if f.is_file():
            f.chmod(0o644)
    size = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
    print(f"{name:18} {size / 1024:6.1f} KiB  loss {float(golden['loss64']):.6f}  adapter {float(golden['loss_adapter64']):.6f}"
          f"  fp32/fp64 {gap('logits', 'logits64'):.1e} {gap('logits_adapter', 'logits_adapter64'):.1e}"
          f"  adapter moves logits by {spread:.2f}")
    if gap("logits", "logits64") > 1e-5 or spread < 0.1 or min(np.abs(v).max() for v in golden.values()) == 0:
        sys.exit(f"{name}: degenerate or inconsistent")
    return size


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", choices=list(CASES))
    parser.add_argument("--any-version", action="store_true")
    arguments = parser.parse_args()
    for package, expected in VERSIONS.items():
        actual = sys.modules[package].__version__.split("+")[0]
        if actual != expected:
            message = f"{package} is {actual}, the committed files were made with {expected}"
            if not arguments.any_version:
                sys.exit(message + "; pass --any-version to go on")
            print("note:", message, file=sys.stderr)
            VERSIONS[package] = actual
    if os.environ.get("PYTHONHASHSEED") != "0":  # peft keeps target_modules in a set: fix the order it is written in
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    total = sum(make(arguments.out, i, name) for i, name in enumerate(CASES)
                if not arguments.only or name in arguments.only)
    print(f"{total / 1024:.0f} KiB in all")


if __name__ == "__main__":
    main()
