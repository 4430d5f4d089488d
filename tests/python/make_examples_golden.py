#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small data sets of texts, pairs and images, and what transformers and peft make of them.

    python3 tests/python/make_examples_golden.py tests/data/examples

The committed files were made with torch 2.15.0, transformers 5.24.0, peft 0.21.2, tokenizers 0.23.3 and numpy 2.4.6, on one
thread, from the checkpoints in tests/data/hf and the tokenizers in tests/data/tokenizers.

tokenizer.json       BERT's, of 40 words: for the checkpoints in tests/data/hf
pairs.jsonl          sentence1, sentence2 and a class of three
scores.jsonl         a sentence and a number
text.txt             400 sentences, in which some words follow each other
images.npy           bytes, (12, 3, 8, 8); images.labels.npy: a class of three each; preprocessor_config.json: how they are scaled
cut.json             of texts and pairs, cut to several lengths: ids and token types, for two of tests/data/tokenizers
course.json          for a case each: loss, logits and what follows from them before and after six steps of AdamW, each over two
                     padded batches of four in the order of the file, and the loss of every step; float64, dropout off
"""
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import peft
import tokenizers
import torch
import transformers
from make_golden import all_double
from tokenizers import models, normalizers, pre_tokenizers, processors

VERSIONS = {"torch": "2.15.0", "transformers": "5.24.0", "peft": "0.21.2", "tokenizers": "0.23.3", "numpy": "2.4.6"}
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
WORDS = ("tree bark leaf root branch fruit wood seed sun rain wind snow old young tall small green dry cut grow "
         "falls stands is was the a in on of no , . ##s ##ing ##ed").split()


def small_tokenizer():
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS
    assert len(vocabulary) == 40, len(vocabulary)
    ids = {w: i for i, w in enumerate(vocabulary)}
    t = tokenizers.Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return t


def fast(tokenizer, **names):
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def sentence(rng, least, most):
    plain = [w for w in WORDS if not w.startswith("##")]
    return " ".join(plain[i] for i in rng.integers(0, len(plain), rng.integers(least, most + 1)))


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def cuts():
    rng = np.random.default_rng(3)
    singles = [sentence(rng, 1, 9) for _ in range(3)] + ["", "Café naïve, 日本語 ok"]
    pairs = [(sentence(rng, 1, 9), sentence(rng, 1, 9)) for _ in range(5)] + [("", "tree"), ("bark, bark", "")]
    out = {"singles": singles, "pairs": pairs}
    for name in ("bert_uncased", "roberta"):
        t = fast(tokenizers.Tokenizer.from_file(str(DATA / "tokenizers" / f"{name}.json")))
        rows = []
        for length in (7, 12, 13, 24, 64):
            for given in [(s,) for s in singles] + pairs:
                e = t(*[[x] for x in given], truncation=True, max_length=length, return_token_type_ids=True)
                rows.append([e["input_ids"][0], e["token_type_ids"][0]])
        out[name] = rows
    out["lengths"] = [7, 12, 13, 24, 64]
    return out


def course(case, kind, batches, whole):
    """batches: 12 of four examples each; whole: all of them"""
    load = {"text": transformers.AutoModelForSequenceClassification, "image": transformers.AutoModelForImageClassification}[kind]
    base = load.from_pretrained(DATA / "hf" / case, dtype=torch.float64, attn_implementation="eager")
    model = peft.PeftModel.from_pretrained(base, DATA / "hf" / case / "adapter", is_trainable=True).double().eval()
    with all_double():
        return steps(model, batches, whole)


def steps(model, batches, whole):
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.01)
    out = {"losses": []}

    def measure(name):
        with torch.no_grad():
            said = model(**whole)
        out[name] = {"loss": said.loss.item(), "logits": said.logits.flatten().tolist()}
        labels = whole["labels"].numpy()
        if said.logits.shape[1] == 1:
            out[name]["pearson"] = float(np.corrcoef(said.logits[:, 0].numpy(), labels)[0, 1])
        else:
            out[name]["accuracy"] = float((said.logits.argmax(1).numpy() == labels).mean())

    measure("before")
    for step in range(6):
        total = 0.0
        for batch in batches[2 * step % len(batches):][:2]:
            loss = model(**batch).loss / 2
            loss.backward()
            total += loss.item()
        out["losses"].append(total)
        optimizer.step()
        optimizer.zero_grad()
    measure("after")
    return out


def text_course(case, lines, fields, dtype):
    t = fast(small_tokenizer(), pad_token="[PAD]")

    def batch(some):
        e = t(*[[line[f] for line in some] for f in fields], truncation=True, max_length=16, padding=True, return_tensors="pt",
              return_token_type_ids=True)
        return {**e, "labels": torch.tensor([line["label"] for line in some], dtype=dtype)}

    return course(case, "text", [batch(lines[i:i + 4]) for i in range(0, len(lines), 4)], batch(lines))


def main():
    modules = {"torch": torch, "transformers": transformers, "peft": peft, "tokenizers": tokenizers, "numpy": np}
    for name, version in VERSIONS.items():
        assert modules[name].__version__.split("+")[0] == version, (name, modules[name].__version__)
    torch.set_num_threads(1)
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    small_tokenizer().save(str(out / "tokenizer.json"))

    rng = np.random.default_rng(1)
    pairs = [{"sentence1": sentence(rng, 2, 9), "sentence2": sentence(rng, 2, 9), "label": int(rng.integers(0, 3))} for _ in range(24)]
    scores = [{"sentence": sentence(rng, 2, 18), "label": round(float(rng.normal()), 3)} for _ in range(24)]
    write_lines(out / "pairs.jsonl", pairs)
    write_lines(out / "scores.jsonl", scores)
    follow = {w: [WORDS[i] for i in rng.integers(0, 32, 3)] for w in WORDS}
    text = []
    for _ in range(400):
        line = ["the"]
        while len(line) < 12:
            line.append(follow[line[-1]][rng.integers(0, 3)])
        text.append(" ".join(line) + " .")
    (out / "text.txt").write_text("\n".join(text) + "\n")
    images = rng.integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)
    labels = rng.integers(0, 3, 12)
    np.save(out / "images.npy", images)
    np.save(out / "images.labels.npy", labels)
    scale = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
    (out / "preprocessor_config.json").write_text(json.dumps(scale) + "\n")
    (out / "cut.json").write_text(json.dumps(cuts(), separators=(",", ":")) + "\n")

    mean, std = (np.array(scale[k])[:, None, None] for k in ("image_mean", "image_std"))
    pixels = torch.tensor(((images * scale["rescale_factor"] - mean) / std).astype(np.float32).astype(np.float64))
    pictures = [{"pixel_values": pixels[i:i + 4], "labels": torch.tensor(labels[i:i + 4])} for i in range(0, 12, 4)]
    pictures = pictures * 2  # two epochs
    courses = {"bert-classes": text_course("bert-classes", pairs, ("sentence1", "sentence2"), torch.int64),
               "bert-regression": text_course("bert-regression", scores, ("sentence",), torch.float64),
               "vit": course("vit", "image", pictures, {"pixel_values": pixels, "labels": torch.tensor(labels)})}
    (out / "course.json").write_text(json.dumps(courses, indent=0) + "\n")


if __name__ == "__main__":
    main()
