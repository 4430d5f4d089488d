#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/tokenizers/: small tokenizers with the parts of published ones, and what the library that defines
the format makes of 10,000 lines with each.

    python tests/data/make_tokenizers.py [--anew] [name ...]        (tokenizers 0.23.3, sentencepiece 0.2.3; two minutes)

Tokenizers that are there are kept: training breaks ties by the order of a hash table, so some come out a little different
each time. With --anew they are trained again. What the library makes of the lines is the same for the same tokenizers.

lines.json      what lines are drawn from; make_lines() below and tests/data/tokenizer_lines.hpp draw the same
<name>.json     a tokenizer
<name>.ids      a JSON object: ids of the first lines in full, and a hash for every 100 lines of ids, texts and pairs; of BERT's
                also what its vocab.txt gives, with do_lower_case as the name says; of Llama 2 also what it gives with special
                tokens that are normalized, for fewer lines
patterns.json   for every regular expression that is known, hashes of how it cuts the lines
characters.json for every part that looks at characters, a hash of what it does with each of Unicode's
"""
import base64
import hashlib
import json
import os
import struct
import sys
import tempfile

import sentencepiece
import tokenizers
from tokenizers import AddedToken, BertWordPieceTokenizer, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "tokenizers")
BLOCKS, BLOCK, SHOWN = 100, 100, 60
MASK = (1 << 64) - 1

# ---------------------------------------------------------------------------------------------------------------- lines

TABLES = {
    "words": ("the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were "
              "her all she there would their we him been has when who will more no if out so said what up its about into than them can "
              "only other new some could time these two may then do first any my now such like our over man me even most made after also "
              "did many before must through back years where much your way well down should because each just those people mr how too "
              "little state good very make world still own see men work long get here between both life being under never day same another "
              "know while last might us great old year off come since against go came right used take three HELLO World Tokenizers "
              "unbelievable internationalization naïve café Zürich Ångström façade coöperate œuvre straße ΣΊΣΥΦΟΣ İstanbul ǅungla").split(),
    "pieces": ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "'Re", "'\u017f", "don't", "I'M", "we'VE", " n't", " do not",
               " .", " ?", " ' ", "``", "''", "...", "—", "–", "…", "«x»", "“quoted”", "¿qué?", "¡sí!", "a@b.org", "https://x.y/z?q=1&r=%20",
               "x_1+=y->z;", "{\"k\": [1, 2.5e-3]}", "<b>", "</b>", "C++20", "1,234,567.89", "0x1F600", "½", "²", "Ⅷ", "٣٤٥", "१२३", "①②",
               "🙂", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "🇩", "❤️", "☎︎", "👨🏾‍⚕️", "1️⃣", "🧑‍🚀", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "✈️✈", "👍🏽🏽", "‍",
               "ﬁ", "ﬃ", "ﬅ", "Ｆｕｌｌ", "ｶﾞｷﾞ", "㌀", "㍿", "ℌ", "™", "ǆ", "ŉ", "ẞß", "ﷺ", "가각힣", "\u1100\u1161\u11a8", "\u1112\u1175",
               "한국어", "日本語", "中文字符", "漢字かな交じり", "𠮷野家", "ไทยแลนด์", "हिन्दी", "क्षत्रिय", "தமிழ்", "العَرَبِيَّة", "עִבְרִית", "اللّٰه",
               "e\u0301", "o\u0308\u0304", "q\u0307\u0323", "\u0041\u030a", "\u212b", "\u03a9\u2126", "\u1e9b\u0323", "\ufb01\u0301", "\u0345\u0301",
               "\u0958", "\u2adc", "\u0344", "\u0f43", "\u0fb9", "\uac00\u11a8", "\u0301start", "\u0600\u0661", "\u0903\u093e", "a\u200db",
               "▁", "▁▁", "▁x▁", "Ġ", "ĠĠ", "Ċ", "##", "##ing", "<0x0A>", "<0xZZ>", "</w>", "<s", "[CLS", "<|", "\ufeff", "\ufffd", "\ufffe"],
    "spaces": [" ", " ", " ", " ", " ", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", " \n ", "\t\t", "\u00a0", "\u3000", "\u2009",
               "\u200b", "\u2028", "\u2029", "\u0085", "\u202f", "\u1680", "\v", "\f", "        ", "\n \n", ""],
    "ranges": [[0x20, 0x7e], [0x21, 0x2f], [0x30, 0x39], [0x61, 0x7a], [0x41, 0x5a], [0x00, 0x1f], [0x7f, 0x9f], [0xa0, 0xff], [0x100, 0x24f],
               [0x250, 0x36f], [0x300, 0x36f], [0x370, 0x3ff], [0x400, 0x52f], [0x530, 0x58f], [0x590, 0x5ff], [0x600, 0x6ff], [0x700, 0x8ff],
               [0x900, 0x97f], [0x980, 0xdff], [0xe00, 0xe7f], [0xe80, 0x109f], [0x10a0, 0x10ff], [0x1100, 0x11ff], [0x1200, 0x13ff],
               [0x13a0, 0x18af], [0x1ab0, 0x1cff], [0x1d00, 0x1dff], [0x1e00, 0x1fff], [0x2000, 0x206f], [0x2070, 0x20ff], [0x2100, 0x2bff],
               [0x2c00, 0x2dff], [0x2e00, 0x2fff], [0x3000, 0x30ff], [0x3100, 0x33ff], [0x3400, 0x4dbf], [0x4e00, 0x9fff], [0xa000, 0xa8ff],
               [0xa900, 0xabff], [0xac00, 0xd7ff], [0xe000, 0xf8ff], [0xf900, 0xfaff], [0xfb00, 0xfdff], [0xfe00, 0xffff], [0x10000, 0x107ff],
               [0x10800, 0x10fff], [0x11000, 0x11fff], [0x12000, 0x16fff], [0x1d000, 0x1d7ff], [0x1e000, 0x1efff], [0x1f000, 0x1faff],
               [0x1f1e6, 0x1f1ff], [0x20000, 0x2ffff], [0xe0000, 0xe01ef], [0x0, 0xd7ff], [0xe000, 0x10ffff]],
    # Bytes that are no UTF-8, or not where they end.
    "broken": ["ff", "c0", "80", "e2", "e282", "f09f", "f09f98", "eda080", "f4908080", "c3c3a9", "e0809f", "f0808080", "fe", "c2"],
}


class Random:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed & MASK

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        return (z ^ z >> 31) % n


def make_line(seed, tokens, tables=TABLES):
    """Line number `seed` as bytes. `tokens`: the added tokens of the tokenizer that will see it."""
    r = Random(seed)
    out = b""
    pick = lambda table: table[r.below(len(table))]
    for _ in range(1 + r.below(14)):
        kind = r.below(100)
        if kind < 40:
            out += pick(tables["words"]).encode()
        elif kind < 58:
            out += pick(tables["pieces"]).encode()
        elif kind < 76:
            first, last = pick(tables["ranges"])
            for _ in range(1 + r.below(6)):
                out += chr(first + r.below(last - first + 1)).encode("utf-8", "surrogatepass")
        elif kind < 84:
            out += pick(tables["spaces"]).encode()
        elif kind < 89:
            out += str(r.below(10 ** (1 + r.below(9)))).encode()
        elif kind < 92:
            out += bytes.fromhex(pick(tables["broken"]))
        elif kind < 97:
            if tokens:
                out += pick(tokens).encode()
        elif kind < 98:
            text = pick(tables["pieces"]).encode()
            out += text * (1 + r.below(60))
        else:
            out += (pick(tables["words"])[:1] * r.below(150)).encode()
        if r.below(3) > 0:
            out += pick(tables["spaces"]).encode()
    return out


def as_python_sees(line):
    return line.decode("utf-8", errors="replace")


# ------------------------------------------------------------------------------------------------------------- corpora

def demo_text():
    folder = os.path.join(HERE, "..", "..", "models", "demo", "text")
    return [line for f in sorted(os.listdir(folder)) if f.endswith(".txt")
            for line in open(os.path.join(folder, f), encoding="utf-8").read().split("\n")[:3000]]


def corpus():
    other = [as_python_sees(make_line(1_000_000 + i, [])) for i in range(400)]
    return demo_text() + other + [w for w in TABLES["words"] for _ in range(3)] + TABLES["pieces"] * 2


PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen3_5": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
             r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
             r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
              r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
              r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "deepseek": "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
                "\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    "clip": r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    "clip_named": r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    "bloom": " ?[^(\\s|[.,!?…。，、।۔،])]+",
    "cjk": "[一-龥\u3040-ゟ゠-ヿ]+",
    "three_digits": r"\p{N}{1,3}", "digit": r"\p{N}", "ascii_digits": "[0-9][0-9][0-9]",
    "space": r"\s+", "line": r"\n", "return": r"[\r\n]", "lines": r"[\n\r\t]", "spaces_or_line": r"\s{2,}|[\n\r\t]",
    "blanks": " {2,}", "blanks_mark": " +▁", "mark_line": "^▁+$",
}


def byte_level_bpe(pre, special, size=600, **kind):
    t = Tokenizer(models.BPE(**kind))
    t.pre_tokenizer = pre
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False,
                                                        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    t.decoder = decoders.ByteLevel()
    return t


def split(name, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(PATTERNS[name]), behavior, invert)


def template(single, pair, names, t):
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=[(n, t.token_to_id(n)) for n in names])


def gpt2():
    t = byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"], continuing_subword_prefix="", end_of_word_suffix="")
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t


def roberta():
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    t = byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=True), special)
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=True)
    return t


def llama3():
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    t = byte_level_bpe(pre_tokenizers.Sequence([split("llama3"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
                       [], ignore_merges=True)
    t.add_special_tokens(special)
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template(
        "<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", special[:1], t)])
    return t


def qwen2():
    t = byte_level_bpe(pre_tokenizers.Sequence([split("qwen2"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), [])
    t.normalizer = normalizers.NFC()
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("café au lait", normalized=True)])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t


def gpt4o():
    t = byte_level_bpe(pre_tokenizers.Sequence([split("o200k"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), [])
    t.add_special_tokens(["<|endoftext|>"])
    return t


def deepseek():
    t = byte_level_bpe(pre_tokenizers.Sequence([split("three_digits"), split("cjk"), split("deepseek"),
                                                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), ["<｜begin▁of▁sentence｜>"])
    t.add_tokens([AddedToken("<｜User｜>", normalized=True), AddedToken("<think>", normalized=True)])
    t.post_processor = template("<｜begin▁of▁sentence｜> $A", "<｜begin▁of▁sentence｜> $A <｜begin▁of▁sentence｜>:1 $B:1", ["<｜begin▁of▁sentence｜>"], t)
    return t


def falcon():
    t = byte_level_bpe(pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
                                                pre_tokenizers.Digits(individual_digits=False), split("ascii_digits")]), [">>TITLE<<", "<|endoftext|>"])
    return t


def clip():
    t = byte_level_bpe(pre_tokenizers.Sequence([split("clip", "removed", True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), [],
                       end_of_word_suffix="</w>", continuing_subword_prefix="", unk_token="<|endoftext|>", fuse_unk=False)
    model = json.loads(t.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(m) for m in model["merges"]]
    for token in [*list(vocab), "<|startoftext|>", "<|endoftext|>"]:
        vocab.setdefault(token, len(vocab))
    for c in pre_tokenizers.ByteLevel.alphabet():
        vocab.setdefault(c + "</w>", len(vocab))
    merges += [("t", "he</w>"), ("h", "e</w>"), ("o", "f</w>")]
    for a, b in merges:
        for token in (a, b, a + b):
            vocab.setdefault(token, len(vocab))
    t.model = models.BPE(vocab=vocab, merges=merges, end_of_word_suffix="</w>", continuing_subword_prefix="", unk_token="<|endoftext|>")
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", t.token_to_id("<|endoftext|>")),
                                                    ("<|startoftext|>", t.token_to_id("<|startoftext|>")), trim_offsets=False, add_prefix_space=False)
    return t


def sentencepiece_bpe(metaspace):
    """Merges of pieces with ▁ in front, an entry for every byte: Llama 2, TinyLlama, Mistral."""
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    text = [w for line in demo_text() for w in line.split(" ")] + [c * 3 for c in "éüäöñçабвгдежзийклмнопрст한국中文日の"] * 9
    t.train_from_iterator(text + ["▁▁", "▁▁▁▁"] * 9, trainers.BpeTrainer(
        vocab_size=800, special_tokens=["<unk>", "<s>", "</s>"] + bytes_, show_progress=False, limit_alphabet=140))
    model = json.loads(t.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(m) for m in model["merges"]]
    for a, b in [("▁", "▁"), ("▁▁", "▁▁"), ("▁▁▁▁", "▁▁▁▁")]:
        vocab.setdefault(a + b, len(vocab))
        if (a, b) not in merges:
            merges.append((a, b))
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if metaspace:
        t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    else:
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    for name in ("<unk>", "<s>", "</s>"):
        t.add_special_tokens([AddedToken(name, normalized=metaspace, special=True)])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.post_processor = template("<s> $A", "<s> $A <s>:1 $B:1", ["<s>"], t)
    return t


def fields(message):
    """(number, bytes or integer) of the fields of a protocol buffer."""
    at = 0

    def varint():
        nonlocal at
        x = shift = 0
        while True:
            b = message[at]
            at += 1
            x |= (b & 127) << shift
            shift += 7
            if b < 128:
                return x
    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        else:
            n = varint() if kind == 2 else 8 if kind == 1 else 4
            yield key >> 3, message[at:at + n]
            at += n


def spm_unigram(rules=None, rule_name=None, size=700, byte_fallback=False):
    """Pieces with scores and the charsmap of a model that SentencePiece trains."""
    with tempfile.TemporaryDirectory() as d:
        text, prefix = os.path.join(d, "text"), os.path.join(d, "m")
        open(text, "w").write("\n".join(line for line in corpus() if "\0" not in line and "\ufffd" not in line and "▁" not in line))
        how = {"normalization_rule_name": rule_name}
        if rules:
            tsv = os.path.join(d, "rules.tsv")
            hexed = lambda s: " ".join(f"{ord(c):X}" for c in s)
            open(tsv, "w").write("".join(f"{hexed(a)}\t{hexed(b)}\n" for a, b in rules))
            how = {"normalization_rule_tsv": tsv}
        sentencepiece.SentencePieceTrainer.train(
            input=text, model_prefix=prefix, vocab_size=size, model_type="unigram", character_coverage=0.98, num_threads=1,
            hard_vocab_limit=False, byte_fallback=byte_fallback, minloglevel=2, **how)
        model = open(prefix + ".model", "rb").read()
    pieces, charsmap = [], b""
    for number, value in fields(model):
        if number == 1:
            piece = dict(fields(value))
            pieces.append((piece[1].decode(), struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0))
        elif number == 3:
            charsmap = dict(fields(value)).get(2, b"")
    return pieces, charsmap


def charsmap_rules():
    """Of NFKC with composition of pairs, enough to be small: Latin and Greek, kana, Hangul jamo, widths, ligatures, controls."""
    import unicodedata
    rules = {}
    for c in [*range(0xa0, 0x250), *range(0x1e00, 0x1e60), *range(0x3300, 0x3320), *range(0xfb00, 0xfb07), *range(0xff01, 0xffa0), *range(0x2100, 0x2130),
              0xfdfa, *range(0x958, 0x960), 0xf43, 0x2adc, 0x344]:
        t = chr(c)
        k = unicodedata.normalize("NFKC", t)
        if k != t:
            rules[t] = k
        d = unicodedata.normalize("NFD", t)
        if len(d) > 1 and unicodedata.normalize("NFC", t) == t:
            rules[d] = k
    for c in [*range(0x30ab, 0x30dd)]:
        d = unicodedata.normalize("NFD", chr(c))
        if len(d) > 1:
            rules[d] = chr(c)
            for h in range(0xff66, 0xff9e):
                if unicodedata.normalize("NFKC", chr(h)) == d[0]:
                    rules[chr(h) + ("ﾞ" if d[1] == "\u3099" else "ﾟ")] = chr(c)
    for c in [*range(1, 9), 11, *range(14, 32), 127, 0x8f, 0x9f]:
        rules[chr(c)] = ""
    for c in [9, 10, 12, 13, 0x1680, *range(0x200b, 0x2010), 0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd, 0x3000, 0xa0, 0x2009]:
        rules[chr(c)] = " "
    return sorted(rules.items())


def deberta_v3():
    pieces, charsmap = spm_unigram(rules=charsmap_rules())
    vocab = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0)] + pieces[3:]
    t = Tokenizer(models.Unigram(vocab, 3, False))
    t.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    t.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    t.add_special_tokens([AddedToken(x, normalized=x == "[UNK]", special=True) for x in ("[PAD]", "[CLS]", "[SEP]", "[UNK]")])
    t.add_special_tokens(["[MASK]"])
    t.post_processor = template("[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", ["[CLS]", "[SEP]"], t)
    return t


def t5():
    pieces, _ = spm_unigram(rule_name="identity", size=600)
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + pieces[3:] + [(f"<extra_id_{i}>", 0.0) for i in (2, 1, 0)]
    t = Tokenizer(models.Unigram(vocab, 2, False))
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    t.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    t.add_special_tokens([AddedToken(f"<extra_id_{i}>", rstrip=i == 1, lstrip=i == 0) for i in range(3)])
    t.post_processor = processors.TemplateProcessing(single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)])
    return t


def gemma():
    """Unigram with bytes for what is unknown, cut at blanks as Gemma is."""
    pieces, _ = spm_unigram(rule_name="identity", size=900, byte_fallback=True)
    t = Tokenizer(models.Unigram(pieces, 0, True))
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_previous")
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.add_tokens(["\n\n", "▁▁", AddedToken("\t", normalized=False)])
    return t


def albert():
    """Accents, case and widths leave by the normal forms; one Metaspace that looks at where the text began."""
    pieces, _ = spm_unigram(rule_name="identity", size=500)
    t = Tokenizer(models.Unigram(pieces, 0, False))
    t.normalizer = normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(),
                                         normalizers.Lowercase(), normalizers.Strip(left=True, right=False), normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    t.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="first")
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.add_tokens([AddedToken("World", single_word=True), AddedToken("naïve", single_word=False, rstrip=True)])
    return t


def bert(lower, name):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=1100, special_tokens=special, show_progress=False))
    t.decoder = decoders.WordPiece()
    t.post_processor = template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ["[CLS]", "[SEP]"], t)
    if lower:
        vocab = t.get_vocab(with_added_tokens=False)
        with open(os.path.join(OUT, name + ".vocab.txt"), "w", encoding="utf-8", newline="\n") as f:
            f.writelines(token + "\n" for token in sorted(vocab, key=vocab.get))
    return t


def words():
    """BPE with unknowns, cut by \\w+ and digits; NFD, and a prefix on what continues."""
    t = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##", fuse_unk=False))
    t.normalizer = normalizers.NFD()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)])
    t.train_from_iterator(demo_text(), trainers.BpeTrainer(vocab_size=500, special_tokens=["[UNK]"], continuing_subword_prefix="##", show_progress=False))
    t.add_tokens([AddedToken("of the", single_word=True, lstrip=True), AddedToken("...", rstrip=True), AddedToken("é", normalized=True)])
    t.post_processor = processors.BertProcessing(("[UNK]", 0), ("[UNK]", 0))
    return t


def neox():
    t = byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True), ["<|endoftext|>", "<|padding|>"])
    t.normalizer = normalizers.NFKC()
    t.add_tokens([AddedToken(" " * n, normalized=False) for n in range(8, 1, -1)])
    t.post_processor = processors.TemplateProcessing(single="$A:0 <|endoftext|>:0", pair="$A:0 $B:1", special_tokens=[("<|endoftext|>", 0)])
    return t


ALL = {"gpt2": gpt2, "roberta": roberta, "llama3": llama3, "qwen2": qwen2, "gpt4o": gpt4o, "deepseek": deepseek, "falcon": falcon, "clip": clip, "neox": neox,
       "llama2": lambda: sentencepiece_bpe(False), "mistral": lambda: sentencepiece_bpe(True), "deberta_v3": deberta_v3, "t5": t5, "gemma": gemma,
       "albert": albert, "bert_uncased": lambda: bert(True, "bert_uncased"), "bert_cased": lambda: bert(False, "bert_cased"), "words": words}


# ---------------------------------------------------------------------------------------------------------------- hashes

def packed(numbers):
    return struct.pack(f"<{len(numbers) + 1}i", len(numbers), *numbers)


def digest(h):
    return h.hexdigest()[:16]


def added(t):
    """Contents of the added tokens by id: lines hold some of them."""
    return [x["content"] for x in json.loads(t.to_str())["added_tokens"]]


def expectation(t, blocks=BLOCKS, shown=SHOWN):
    tokens = added(t)
    size = t.get_vocab_size()
    out = {"tokens": tokens, "first": [], "ids": [], "texts": [], "pairs": [], "any": []}
    for b in range(blocks):
        ids, texts, pairs = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        for i in range(b * BLOCK, (b + 1) * BLOCK):
            line = as_python_sees(make_line(i, tokens))
            e = t.encode(line).ids
            ids.update(packed(e))
            if i < shown:
                out["first"].append(e)
            if i % 2 == 0:
                texts.update(t.decode(e, skip_special_tokens=i % 4 == 0).encode() + b"\0")
            if i % 10 == 0:
                pair = t.encode(line, as_python_sees(make_line(i + 1, tokens)), add_special_tokens=i % 20 == 0)
                pairs.update(packed(pair.ids) + packed(pair.type_ids))
        any_ids = hashlib.sha256()  # ids in an order that no text has
        for i in range(b * 20, (b + 1) * 20):
            r = Random(7_000_000 + i)
            count = 1 + r.below(30)
            some = [r.below(size + 2) for _ in range(count)]
            any_ids.update(t.decode(some, skip_special_tokens=i % 2 == 0).encode() + b"\0")
        out["ids"].append(digest(ids)), out["texts"].append(digest(texts)), out["pairs"].append(digest(pairs)), out["any"].append(digest(any_ids))
    return out


def patterns():
    out = {}
    for name, regex in PATTERNS.items():
        how = pre_tokenizers.Split(Regex(regex), "isolated")
        cuts = []
        for b in range(20):
            h = hashlib.sha256()
            for i in range(b * BLOCK, (b + 1) * BLOCK):
                text = as_python_sees(make_line(i, []))
                ends, at = [], 0
                for piece, _ in how.pre_tokenize_str(text):
                    at += len(piece.encode())
                    ends.append(at)
                h.update(packed(ends))
            cuts.append(digest(h))
        out[name] = {"regex": regex, "cuts": cuts}
    return out


def characters():
    """What each part does with "a" + a character + "b", for all of them in order."""
    bert = dict(handle_chinese_chars=False, lowercase=False)
    parts = {f: getattr(normalizers, f)() for f in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt")}
    parts["Strip"] = normalizers.Strip()
    parts["clean"] = normalizers.BertNormalizer(clean_text=True, strip_accents=False, **bert)
    parts["accents"] = normalizers.BertNormalizer(clean_text=False, strip_accents=True, **bert)
    parts["chinese"] = normalizers.BertNormalizer(clean_text=False, strip_accents=False, handle_chinese_chars=True, lowercase=False)
    cuts = {"BertPreTokenizer": pre_tokenizers.BertPreTokenizer(), "Whitespace": pre_tokenizers.Whitespace(), "WhitespaceSplit": pre_tokenizers.WhitespaceSplit(),
            "Digits": pre_tokenizers.Digits(individual_digits=True), "Punctuation": pre_tokenizers.Punctuation(), "ByteLevel": pre_tokenizers.ByteLevel(add_prefix_space=False)}
    out = {}
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    for name, part in parts.items():
        out[name] = {"part": json.loads(part.__getstate__()), "hash": digest(hashlib.sha256("\n".join(
            part.normalize_str("a" + c + "b" if name != "Strip" else c) for c in points).encode()))}
    for name, part in cuts.items():
        out[name] = {"part": json.loads(part.__getstate__()), "hash": digest(hashlib.sha256("\n".join(
            "|".join(p for p, _ in part.pre_tokenize_str("a" + c + "b")) for c in points).encode()))}
    return out


def dump(name, value, **how):
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"), **how)
        f.write("\n")
    print(f"{name:24} {os.path.getsize(os.path.join(OUT, name)):8} bytes", flush=True)


def main():
    os.makedirs(OUT, exist_ok=True)
    wanted, anew = [x for x in sys.argv[1:] if x != "--anew"], "--anew" in sys.argv
    if not wanted or "lines" in wanted:
        dump("lines.json", TABLES)
    if not wanted or "patterns" in wanted:
        dump("patterns.json", patterns())
    if not wanted or "characters" in wanted:
        dump("characters.json", characters())
    for name, make in ALL.items():
        if wanted and name not in wanted:
            continue
        if anew or not os.path.exists(os.path.join(OUT, name + ".json")):
            dump(name + ".json", json.loads(make().to_str()))
        t = Tokenizer.from_file(os.path.join(OUT, name + ".json"))
        expected = expectation(t)
        if name == "llama2":  # as first published: its special tokens are looked for behind the normalizer
            file = json.loads(t.to_str())
            for token in file["added_tokens"]:
                token["normalized"] = True
            expected["normalized"] = expectation(Tokenizer.from_str(json.dumps(file)), blocks=10, shown=15)
        dump(name + ".ids", expected)
        if name in ("bert_uncased", "bert_cased"):  # what the library makes of the vocabulary alone is the same
            vocabulary = t.get_vocab(with_added_tokens=False)
            list_of_words = BertWordPieceTokenizer(vocabulary, lowercase=name == "bert_uncased")
            assert expectation(Tokenizer.from_str(list_of_words.to_str())) == expected, name


if __name__ == "__main__":
    main()
