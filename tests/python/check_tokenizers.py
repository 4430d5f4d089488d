#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our tokenizers against the library that defines the format, on lines that nobody has seen.

    python tests/python/check_tokenizers.py [--lines 6000] [--seed N] [name ...]

Every tokenizer of tests/data/tokenizers, and with the name "full" larger ones that are trained on the spot, one of them
with SentencePiece's whole nmt_nfkc table. Needs tokenizers 0.23.3 (and sentencepiece 0.2.3 for the table) and a C++ compiler."""
import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "data"))
import make_tokenizers as made  # noqa: E402
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, decoders, Regex  # noqa: E402


def compiled(folder):
    program = os.path.join(folder, "tokenize_lines")
    subprocess.run([os.environ.get("CXX", "c++"), "-std=c++20", "-O2", "-I", os.path.join(ROOT, "include"), "-o", program,
                    os.path.join(ROOT, "tests", "data", "tokenize_lines.cpp")], check=True)
    return program


def full(folder):
    """Larger vocabularies than are worth keeping."""
    pieces, charsmap = made.spm_unigram(rule_name="nmt_nfkc", size=8000)
    t = Tokenizer(models.Unigram(pieces, 0, False))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    t.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    yield "full nmt_nfkc", t
    yield "full byte-level", made.byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"], size=8000)


def check(name, path, program, lines, seed):
    t = Tokenizer.from_file(path)
    tokens = made.added(t)
    texts = [made.make_line(seed + i, tokens) for i in range(lines)]
    begun = time.time()
    result = subprocess.run([program, path], input=b"".join(struct.pack("<I", len(x)) + x for x in texts), capture_output=True)
    if result.returncode != 0:
        print(f"{name}: {result.stderr.decode()}")
        return 1
    out, at, wrong, cut = result.stdout, 0, 0, 0
    for i, text in enumerate(texts):
        n, = struct.unpack_from("<I", out, at)
        ids = list(struct.unpack_from(f"<{n}i", out, at + 4))
        at += 4 + 4 * n
        m, = struct.unpack_from("<I", out, at)
        decoded = out[at + 4:at + 4 + m].decode()
        at += 4 + m
        expected = t.encode(made.as_python_sees(text)).ids
        back = t.decode(expected, skip_special_tokens=i % 2 == 0)
        if ids != expected or decoded != back:
            wrong += 1
            if wrong <= 3:
                d = next((k for k, (a, b) in enumerate(zip(ids, expected)) if a != b), min(len(ids), len(expected)))
                show = lambda x: [(y, t.id_to_token(y)) for y in x[max(0, d - 2):d + 8]]
                print(f"  {name}, seed {seed + i}: {made.as_python_sees(text)[:400]!r}\n    at {d} expected {show(expected)}\n    got {show(ids)}")
                if ids == expected:
                    print(f"    decoded {decoded!r}\n    expected {back!r}")
    print(f"{name:16} {lines} lines, {wrong} differ; {result.stderr.decode().strip()}", flush=True)
    return wrong


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--lines", type=int, default=6000)
    options.add_argument("--seed", type=int, default=int(time.time()) << 24)
    options.add_argument("names", nargs="*")
    options = options.parse_args()
    print(f"seed {options.seed}")
    wrong = lines = 0
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(folder)
        for name in options.names or [*made.ALL, "full"]:
            if name == "full":
                for full_name, t in full(folder):
                    path = os.path.join(folder, "full.json")
                    t.save(path)
                    wrong += check(full_name, path, program, options.lines, options.seed)
                    lines += options.lines
            else:
                wrong += check(name, os.path.join(ROOT, "tests", "data", "tokenizers", name + ".json"), program, options.lines, options.seed)
                lines += options.lines
    print(f"{lines} lines, {wrong} differ")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
