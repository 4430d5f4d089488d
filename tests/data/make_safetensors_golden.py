#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/data/safetensors/: files of the reference writer, and a corpus with the verdicts of the reference reader.

    python3 tests/data/make_safetensors_golden.py     (needs safetensors 0.8, torch, numpy)

Deterministic: the same versions write the same bytes. corpus.jsonl holds one file a line:
{"name": ..., "hex": the file, "error": what the reference said, or null where it accepts}.
"""
import json
import pathlib
import random
import struct

import torch
from safetensors import deserialize
from safetensors.torch import save

folder = pathlib.Path(__file__).parent / "safetensors"
folder.mkdir(exist_ok=True)


# --- files of the reference writer -----------------------------------------------------------------------------------


def golden(name, tensors, metadata=None):
    (folder / f"{name}.safetensors").write_bytes(save(tensors, metadata))


def ramp(dtype, *shape):
    count = 1
    for extent in shape:
        count *= extent
    return (torch.arange(count, dtype=torch.float64) * 0.25 - 1).reshape(shape).to(dtype)


golden("empty", {})
golden("metadata_only", {}, {"framework": "pt"})
golden("one_f32", {"attn.0": torch.arange(6, dtype=torch.float32).reshape(1, 2, 3)})
golden("padded", {"attn0": torch.arange(6, dtype=torch.float32).reshape(1, 1, 2, 3)})
golden("scalar_and_empty", {"scalar": torch.tensor(1.5), "none": torch.zeros(0), "none.2d": torch.zeros(3, 0, 2)},
       {"format": "pt"})
golden("names", {"b": ramp(torch.float32, 2), "a.b": ramp(torch.float32, 2), "a": ramp(torch.float32, 2),
                 "B": ramp(torch.float32, 2), "a-b": ramp(torch.float32, 2), "\u00e9\u4e2d\U0001f600": ramp(torch.float32, 2),
                 "quote\"back\\slash/": ramp(torch.float32, 2), "": ramp(torch.float32, 1),
                 "del\u2028": ramp(torch.float32, 1)}, {"k\n\t\b\f\r\"\\\u0001\u007f\u00e9": "v\u001f\u2028"})
golden("dtypes", {
    "bool": torch.tensor([True, False, True]), "u8": ramp(torch.uint8, 3).abs(), "i8": ramp(torch.int8, 5),
    "i16": ramp(torch.int16, 3), "i32": ramp(torch.int32, 2, 2), "i64": ramp(torch.int64, 3),
    "u16": torch.tensor([1, 65535], dtype=torch.uint16), "u32": torch.tensor([1, 2**32 - 1], dtype=torch.uint32),
    "u64": torch.tensor([1, 2**63], dtype=torch.uint64),
    "f16": ramp(torch.float16, 7), "bf16": ramp(torch.bfloat16, 7), "f32": ramp(torch.float32, 7),
    "f64": ramp(torch.float64, 7), "f8a": ramp(torch.float8_e4m3fn, 3), "f8b": ramp(torch.float8_e5m2, 3),
    "c64": torch.complex(ramp(torch.float32, 2), ramp(torch.float32, 2)),
}, {"format": "pt"})
# The numbers of dtypes as PyTorch converts them, to check our conversions: every half and a spread of floats.
everything = torch.arange(65536, dtype=torch.int32).to(torch.uint16)
spread = torch.tensor([0.0, -0.0, 1.0, 1.0009765625, 1.00048828125, 65504.0, 65519.9, 65520.0, 6e-8, 2.9e-8, 3e-8, 1e-45,
                       3.4e38, 3.3895e38, float("inf"), -float("inf"), 0.1, 1 / 3, 257 / 256, 258.5 / 256, 1e-40])
golden("conversions", {"f32": spread, "f32.as.f16": spread.to(torch.float16), "f32.as.bf16": spread.to(torch.bfloat16),
                       "f16": everything.view(torch.float16)[:0x7c01:29].clone(), "f16.as.f32": everything.view(torch.float16)[:0x7c01:29].float(),
                       "bf16": everything.view(torch.bfloat16)[:0x7f81:29].clone(),
                       "bf16.as.f64": everything.view(torch.bfloat16)[:0x7f81:29].double()})

# --- the corpus ------------------------------------------------------------------------------------------------------

corpus = []


def add(name, data):
    try:
        deserialize(data)
        error = None
    except Exception as e:  # noqa: BLE001
        error = str(e).removeprefix("Error while deserializing: ")
    corpus.append({"name": name, "hex": data.hex(), "error": error})


def head(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(dtype="F32", shape="[1]", offsets="[0,4]", extra=""):
    return '{"dtype":%s,"shape":%s,"data_offsets":%s%s}' % (json.dumps(dtype) if not dtype.startswith("!") else dtype[1:], shape, offsets, extra)


def one(name="a", body=b"\0" * 4, **fields):
    return head('{"%s":%s}' % (name, entry(**fields)), body)


valid = one()
for n in range(8):
    add(f"cut to {n}", valid[:n])
add("empty header", head(b""))
add("spaces only", head("   "))
for n in (2**64 - 1, 2**63, 100_000_001, 100_000_000, 0xFFFFFF000000003C, len(valid) - 8, len(valid) - 7, len(valid)):
    add(f"length {n}", head('{"a":%s}' % entry(), b"\0" * 4, n))
for text in ("{", "}", "[]", "null", "true", "1", '"x"', "[{}]", "{}{}", "{} x", "{}\0", "{},", "{\"a\"}", "{\"a\":}", "{,}", "{\"a\":{}}",
             "{\"a\":[]}", "{\"a\":null}", "{\"a\":1}", "{'a':1}", "{a:1}", "{} // c", "/**/{}", "{\"__metadata__\":{}}",
             "{\"__metadata__\":null}", "{\"__metadata__\":[]}", "{\"__metadata__\":1}", "{\"__metadata__\":\"x\"}",
             "{\"__metadata__\":{\"a\":1}}", "{\"__metadata__\":{\"a\":null}}", "{\"__metadata__\":{\"a\":{}}}", "{\"__metadata__\":{\"a\":[\"b\"]}}",
             "{\"__metadata__\":{\"a\":\"b\"}}", "{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", "{\"__metadata__\":{},\"__metadata__\":{}}",
             "{\"__metadata__\":{\"\":\"\"}}", "{\"__metadata__\":{\"a\":\"b\",}}", " {}", "{} ", "\t\r\n {}\t\r\n ", "\u000b{}", "\ufeff{}", "{\"a\"\u00a0:{}}"):
    add(f"header {text!r}", head(text))
for raw in (b"\xff", b"{\"\xff\":1}", b"{\"\xc0\x80\":1}", b"{\"\xed\xa0\x80\":1}", b"{\"\xf4\x90\x80\x80\":1}", b"{\"\xe2\x82\":1}", b"{\"\x00\":1}", b"{\"\x1f\":1}"):
    add(f"header bytes {raw!r}", head(raw))
for name in ("", "\\u0061", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\ud83dx", "\\u12", "\\x", "\\u0000", "\\n", "\u00e9", "x" * 300, "__metadata", "../../x", "\\/"):
    add(f"name {name!r}", one(name))
for dtype in ("BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16", "U16", "F16",
              "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64", "f32", "F32 ", "", "FLOAT32", "F128", "I4", "C128", "!null", "!32", "!{}", "![\"F32\"]", "!{\"F32\":null}"):
    for shape, end in (("[8]", 4), ("[8]", 6), ("[8]", 8), ("[8]", 16), ("[8]", 32), ("[8]", 64), ("[3]", 2)):
        if dtype.startswith(("F4", "F6")) or (shape, end) == ("[8]", 32) or dtype in ("F64", "U8"):
            add(f"dtype {dtype} {shape} {end}", one(dtype=dtype, shape=shape, offsets=f"[0,{end}]", body=b"\1" * end))
for shape in ("[]", "[1]", "[1,1,1,1,1,1,1,1]", "[1,1,1,1,1,1,1,1,1]", "[0]", "[2]", "[-1]", "[-0]", "[1.0]", "[1e0]", "[01]", "[+1]", "[1,]", "[,1]", "[\"1\"]", "[null]",
              "[true]", "[[1]]", "1", "null", "{}", "\"1\"", "[18446744073709551615]", "[18446744073709551616]", "[2,18446744073709551614]", "[2,9223372036854775807]",
              "[4294967296,4294967296]", "[4294967296,4294967296,0]", "[0,4294967296,4294967296]", "[0,18446744073709551615]", "[4611686018427387904]", "[4611686018427387905]", "[1 1]", "[0x1]", "[1_0]", "[NaN]"):
    add(f"shape {shape}", one(shape=shape))
    add(f"shape {shape} of nothing", one(shape=shape, offsets="[0,0]", body=b""))
for offsets in ("[]", "[0]", "[0,4,4]", "[0,4.0]", "[0,-4]", "[-0,4]", "[4,0]", "[4,4]", "[4,8]", "[1,5]", "[0,3]", "[0,5]", "[0,8]", "[0,18446744073709551615]", "[0,18446744073709551616]",
                "[18446744073709551612,18446744073709551616]", "[18446744073709551612,0]", "[\"0\",\"4\"]", "[0,null]", "null", "4", "{\"0\":4}", "[0,4", "[0 4]"):
    add(f"offsets {offsets}", one(offsets=offsets))
for body in (b"", b"\0", b"\0" * 3, b"\0" * 5, b"\0" * 8, b"PK\x03\x04" + b"\0" * 4):
    add(f"body of {len(body)}", one(body=body))
add("missing dtype", head('{"a":{"shape":[1],"data_offsets":[0,4]}}', b"\0" * 4))
add("missing shape", head('{"a":{"dtype":"F32","data_offsets":[0,4]}}', b"\0" * 4))
add("missing offsets", head('{"a":{"dtype":"F32","shape":[1]}}', b"\0" * 4))
add("as a list", head('{"a":["F32",[1],[0,4]]}', b"\0" * 4))
for extra in (',"x":1', ',"x":{"y":[null,1e5]}', ',"dtype":"F32"', ',"shape":[1]', ',"data_offsets":[0,4]', ',"x":1e999', ',"x":' + "[" * 127 + "]" * 127, ',"x":' + "[" * 200 + "]" * 200, ",", ',"d\\u0074ype":"F32"'):
    add(f"extra {extra[:24]}", one(extra=extra))


def two(first, second, body, a="a", b="b"):
    return head('{"%s":%s,"%s":%s}' % (a, entry(offsets=first), b, entry(offsets=second)), body)


add("two", two("[0,4]", "[4,8]", b"\0" * 8))
add("two, the other way", two("[4,8]", "[0,4]", b"\0" * 8))
add("overlap", two("[0,4]", "[2,6]", b"\0" * 6))
add("same place", two("[0,4]", "[0,4]", b"\0" * 4))
add("hole", two("[0,4]", "[5,9]", b"\0" * 9))
add("hole at the start", two("[1,5]", "[5,9]", b"\0" * 9))
add("trailing", two("[0,4]", "[4,8]", b"\0" * 9))
add("same name", two("[0,4]", "[4,8]", b"\0" * 8, "a", "a"))
add("same name, same place", two("[0,4]", "[0,4]", b"\0" * 4, "a", "a"))
add("same name through an escape", two("[0,4]", "[0,4]", b"\0" * 4, "a", "\\u0061"))
add("names that differ in case", two("[0,4]", "[4,8]", b"\0" * 8, "a", "A"))
add("ten in one place", head("{" + ",".join('"%d":%s' % (i, entry(shape="[2,2]", offsets="[0,16]")) for i in range(10)) + "}", b"\0" * 16))
add("ten of nothing", head("{" + ",".join('"%d":%s' % (i, entry(shape="[0]", offsets="[0,0]")) for i in range(10)) + "}"))
add("nothing behind the end", head('{"a":%s,"b":%s}' % (entry(), entry(shape="[0]", offsets="[5,5]")), b"\0" * 4))
add("sum beyond 64 bits", head('{"a":%s,"b":%s}' % (entry("U8", "[18446744073709551615]", "[0,18446744073709551615]"), entry("U8", "[2]", "[18446744073709551615,1]")), b"\0"))

# Seeded damage to a good file: bytes changed, removed, doubled, swapped.
random_source = random.Random(20)
good = save({"w.0": ramp(torch.float32, 1), "n": ramp(torch.bfloat16, 2)}, {"format": "pt"})
for i in range(160):
    data = bytearray(good)
    for _ in range(random_source.randint(1, 2)):
        at = random_source.randrange(8 if random_source.random() < 0.9 else 0, len(data) - 4)
        kind = random_source.randrange(4)
        if kind == 0:
            data[at] ^= 1 << random_source.randrange(8)
        elif kind == 1:
            data[at] = random_source.choice(b'{}[]",:0123456789 \\-.eE')
        elif kind == 2:
            del data[at]
            data[:8] = struct.pack("<Q", struct.unpack("<Q", data[:8])[0] - 1) if at >= 8 else data[:8]
        else:
            data.insert(at, data[at])
            data[:8] = struct.pack("<Q", struct.unpack("<Q", data[:8])[0] + 1) if at >= 8 else data[:8]
    add(f"damaged {i}", bytes(data))

with open(folder / "corpus.jsonl", "w", encoding="ascii") as out:
    for line in corpus:
        out.write(json.dumps(line, separators=(",", ":")) + "\n")
accepted = sum(line["error"] is None for line in corpus)
print(f"{len(corpus)} files, {accepted} accepted by the reference")
