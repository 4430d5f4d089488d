# SPDX-License-Identifier: MIT
"""Encoders: BERT, RoBERTa, DeBERTa and ViT with their heads, of sizes that fill nothing up."""
import json

from cross_bench import BF16_TOLERANCE, TOLERANCE, UNKNOWN, randomise, save_source
from cross_model import check_adapters, check_files
import numpy as np
import peft
import tokenizers
import torch
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors

WORDS = 45
TEXT = dict(vocab_size=WORDS + 5, hidden_size=30, num_hidden_layers=3, num_attention_heads=5, intermediate_size=37,
            max_position_embeddings=21, type_vocab_size=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
ROBERTA = dict(type_vocab_size=1, pad_token_id=1, max_position_embeddings=23)
DEBERTA = dict(type_vocab_size=0, relative_attention=True, position_buckets=6, max_relative_positions=-1, share_att_key=True,
               pos_att_type="p2c|c2p", norm_rel_ebd="layer_norm", position_biased_input=False, pooler_dropout=0)
APART = dict(type_vocab_size=2, relative_attention=True, position_buckets=-1, max_relative_positions=7, share_att_key=False,
             pos_att_type="c2p|p2c", position_biased_input=True, pooler_dropout=0, conv_kernel_size=3, conv_act="gelu",
             num_attention_heads=3)
IMAGES = dict(hidden_size=30, num_hidden_layers=3, num_attention_heads=5, intermediate_size=37, image_size=[10, 9],
              patch_size=[5, 3], num_channels=2)

CLASSES, SCORE, MASKED, PICTURES = "SequenceClassification", "score", "MaskedLM", "ImageClassification"
MODELS = {  # model type, task, changes
    "bert": ("bert", CLASSES, dict(num_labels=3)),
    "bert-score": ("bert", SCORE, dict(num_labels=1, hidden_act="relu", num_attention_heads=3)),
    "bert-masked": ("bert", MASKED, dict(hidden_act="gelu_new")),
    "bert-bf16": ("bert", CLASSES, dict(num_labels=4, dtype=torch.bfloat16)),
    "roberta": ("roberta", CLASSES, dict(**ROBERTA, num_labels=2)),
    "roberta-masked": ("roberta", MASKED, ROBERTA),
    "deberta": ("deberta-v2", CLASSES, dict(**DEBERTA, num_labels=3)),
    "deberta-apart": ("deberta-v2", CLASSES, dict(**APART, num_labels=3)),
    "deberta-masked": ("deberta-v2", MASKED, DEBERTA),
    "vit": ("vit", PICTURES, dict(num_labels=3)),
    "vit-odd": ("vit", PICTURES, dict(num_labels=7, num_channels=1, image_size=[7, 8], patch_size=[3, 4], qkv_bias=False,
                                      num_attention_heads=3, hidden_act="gelu_new")),
}
BERT = ["query", "value", "intermediate.dense", "output.dense"]
TARGETS = {  # what peft is asked for; what the tool is: the names in the checkpoint
    "bert": (["query", "key", "value", "dense"], ["query,key,value,dense", "query,value"]),
    "roberta": (BERT, ["query,key,value,attention.output.dense,intermediate.dense,output.dense", "query,value"]),
    "deberta-v2": (["query_proj", "key_proj", "value_proj", "attention.output.dense", "intermediate.dense", "output.dense"],
                   ["query_proj,key_proj,value_proj,attention.output.dense,intermediate.dense,output.dense",
                    "query_proj,value_proj"]),
    "vit": (["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"],
            ["query,key,value,attention.output.dense,intermediate.dense,output.dense", "query,value"]),
}
VIT_IN_PEFT = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "attention.output.dense": "o_proj",
               "intermediate.dense": "fc1", "output.dense": "fc2"}
PATTERNS = {  # of single maps: rank, scale
    "bert": ("bert.encoder.layer.1.attention.self.query", "layer.0.intermediate.dense"),
    "roberta": ("roberta.encoder.layer.1.attention.self.query", "layer.0.intermediate.dense"),
    "deberta-v2": ("deberta.encoder.layer.1.attention.self.query_proj", "layer.0.intermediate.dense"),
    "vit": ("vit.layers.1.attention.q_proj", "layers.0.mlp.fc1"),
}


def make_tokenizer(pad):
    """Whole words; the padding's id is the configuration's."""
    special = ["[CLS]", "[UNK]", "[SEP]", "[MASK]"]
    special.insert(pad, "[PAD]")
    ids = {w: i for i, w in enumerate(special + [f"w{i}" for i in range(WORDS)])}
    t = tokenizers.Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                     special_tokens=[(n, ids[n]) for n in ("[CLS]", "[SEP]")])
    t.add_special_tokens(special)
    return t


class Encoder:
    heads_leave = True

    def __init__(self, folder, name, seed):
        self.name, self.seed = name, seed
        self.kind, self.job, changes = MODELS[name]
        self.has_head = self.job != MASKED  # a head of masked language is the embedding's
        self.source, self.data = folder / name / "source", folder / name / ("data.npy" if self.job == PICTURES else "data.jsonl")
        self.rng = np.random.default_rng(seed)
        changes = dict(changes)
        self.dtype = changes.pop("dtype", torch.float32)
        self.tolerance = BF16_TOLERANCE if self.dtype == torch.bfloat16 else TOLERANCE
        sizes = IMAGES if self.job == PICTURES else TEXT
        config = transformers.AutoConfig.for_model(self.kind, **{**sizes, **changes, **UNKNOWN})
        model = self.auto().from_config(config, attn_implementation="eager")
        randomise(model, seed)
        save_source(model.to(self.dtype), self.source)
        (self.draw_images if self.job == PICTURES else self.draw_texts)(config)
        saved = dict(modules_to_save=["classifier", "pooler"] if self.kind == "deberta-v2" else ["classifier"]) if self.has_head else {}
        self.task = dict(task_type="SEQ_CLS" if self.job in (CLASSES, SCORE) else None, **saved)

    def auto(self):
        return getattr(transformers, "AutoModelFor" + (CLASSES if self.job == SCORE else self.job))

    def load(self, directory):
        return self.auto().from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()

    def draw_texts(self, config):
        tokenizer = make_tokenizer(config.pad_token_id)
        tokenizer.save(str(self.source / "tokenizer.json"))
        names = ["sentence1", "sentence2"] if config.type_vocab_size != 1 else ["sentence"]
        words = lambda: " ".join(f"w{i}" for i in self.rng.integers(0, WORDS, self.rng.integers(1, 14 // len(names))))
        label = (lambda: round(float(self.rng.normal()), 3)) if self.job == SCORE else lambda: int(self.rng.integers(0, config.num_labels))
        lines = [{name: words() for name in names} for _ in range(40)]
        if self.job == MASKED:
            lines = [{"text": " ".join(line.values())} for line in lines]
            names = ["text"]
        else:
            lines = [{**line, "label": label()} for line in lines]
        self.data.write_text("".join(json.dumps(line) + "\n" for line in lines))
        fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]")
        self.batch = dict(fast(*[[line[n] for line in lines] for n in names], truncation=True, max_length=16, padding=True,
                               return_tensors="pt", return_token_type_ids=config.type_vocab_size > 1))
        self.labels = torch.tensor([line.get("label", 0) for line in lines])

    def draw_images(self, config):
        images = self.rng.integers(0, 256, (24, config.num_channels, *config.image_size), dtype=np.uint8)
        self.labels = torch.from_numpy(self.rng.integers(0, config.num_labels, 24))
        np.save(self.data, images), np.save(self.data.with_suffix(".labels.npy"), self.labels.numpy())
        how = dict(do_rescale=True, rescale_factor=1 / 255, do_normalize=True, image_mean=[0.5, 0.3][:config.num_channels],
                   image_std=[0.25, 0.4][:config.num_channels])
        (self.source / "preprocessor_config.json").write_text(json.dumps(how) + "\n")
        mean, std = (np.array(how[k])[:, None, None] for k in ("image_mean", "image_std"))
        self.batch = {"pixel_values": torch.tensor(((images / 255 - mean) / std).astype(np.float32))}

    def outputs(self, model):
        with torch.no_grad():
            out = model(**self.batch).logits.double()
        return (out[self.batch["attention_mask"] == 1] if self.job == MASKED else out).numpy()

    def loss(self, directory, adapter=None):
        if self.job == MASKED:  # which tokens are hidden is the tool's own choice
            return None
        model = self.load(directory)
        if adapter is not None:
            model = peft.PeftModel.from_pretrained(model, adapter).eval()
        scores = torch.from_numpy(self.outputs(model))
        if self.job == SCORE:
            return float(torch.nn.functional.mse_loss(scores[:, 0], self.labels.double()))
        return float(torch.nn.functional.cross_entropy(scores, self.labels))

    def peft_names(self, names):
        return [VIT_IN_PEFT[n] if self.kind == "vit" else n for n in names.split(",")]


def check_encoders(bench, seed):
    for i, name in enumerate(MODELS):
        subject = Encoder(bench.folder, name, seed + i)
        check_files(bench, subject, uniform=False)
        linear, ours = TARGETS[subject.kind]
        ranked, scaled = PATTERNS[subject.kind]
        some = [linear[0], "fc1" if subject.kind == "vit" else "intermediate.dense"]
        check_adapters(bench, subject, {
            "all-linear": dict(r=4, lora_alpha=8, target_modules=linear),
            "rslora": dict(r=3, lora_alpha=5, target_modules=linear[:1], use_rslora=True),
            "rank-pattern": dict(r=4, lora_alpha=8, target_modules=some, rank_pattern={ranked: 2}, alpha_pattern={scaled: 3}),
        }, ours)
