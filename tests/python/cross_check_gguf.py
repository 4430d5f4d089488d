#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""GGUF files of the built tool: read back by the reference reader, and run by llama.cpp beside transformers.

    python3 tests/python/cross_check_gguf.py --tool build/release/tools/espalier

Needs torch, transformers, gguf, numpy and xllamacpp (llama.cpp and its server in a wheel; with --without-llama-cpp files are
only read back). Tried with torch 2.15.0, transformers 5.24.0,
gguf 0.19.0 and xllamacpp 2026.10.11549. One PASS or FAIL line a check; exit code 0 only when every check passed.

Checked of each file: every tensor, with the rows of q and k put back, is that of the directory it was made from, bit for
bit; the settings are those of its config.json; on 50 prompts llama.cpp, whose weights and caches are F32 then, chooses
the token that transformers chooses, with the same probability; and llama.cpp cuts texts into the tokens of tokenizer.json.
"""
import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")
import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file

PROMPTS = 50
TOLERANCE = 5e-5  # of a probability's logarithm: both compute in fp32, each in its own order
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZERS = ["gpt2", "llama2", "llama3", "mistral", "qwen2"]
LINES = ["", " ", "Don't you think it's 12345.678 — or 99%?", "  two  spaces,\n\n three lines\n", "naïve café, ΑΒΓ Жук 東京 🦙🦙",
         "x=[1,2];\ty += 3 # ok", "I'LL we'Re THEY'VE", "<s> in the middle of <s> a text", "end.   "]

SMALL = dict(vocab_size=256, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=None, eos_token_id=None,
             pad_token_id=None, tie_word_embeddings=False)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=128)
MODELS = {
    "llama": ("llama", dict(num_key_value_heads=4)),
    "llama-gqa": ("llama", {}),
    "llama-tied": ("llama", dict(tie_word_embeddings=True)),
    "llama-bias": ("llama", dict(attention_bias=True, mlp_bias=True)),
    "llama-head-dim": ("llama", dict(head_dim=12)),
    "llama-linear": ("llama", dict(rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0))),
    "llama-llama3": ("llama", dict(rope_parameters=LLAMA3)),
    "mistral": ("mistral", dict(sliding_window=None)),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", dict(head_dim=12)),
}
INNER = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
         "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


class Failure(Exception):
    pass


def tool(bench, *arguments):
    done = subprocess.run([str(bench.tool), *map(str, arguments)], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise Failure(f"exit code {done.returncode} from {' '.join(map(str, arguments))}: {done.stderr.strip()[-300:]}")
    return done.stdout


def words(directory):
    """A vocabulary whose tokens are whole texts: llama.cpp's server does not tell of half a character."""
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"w{i}": i for i in range(3, 256)}}
    special = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
               for t, i in list(vocab.items())[:3]]
    model = dict(type="BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None,
                 fuse_unk=True, byte_fallback=True, ignore_merges=False, vocab=vocab, merges=[])
    (directory / "tokenizer.json").write_text(json.dumps(dict(
        version="1.0", truncation=None, padding=None, added_tokens=special, normalizer=None,
        pre_tokenizer=dict(type="Metaspace", replacement="\u2581", prepend_scheme="never", split=False),
        post_processor=None, decoder=None, model=model)))
    (directory / "tokenizer_config.json").write_text(json.dumps(dict(bos_token="<s>", eos_token="</s>")))


def make(name, directory, seed):
    kind, changes = MODELS[name]
    config = transformers.AutoConfig.for_model(kind, **{**SMALL, **changes})
    model = transformers.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            p.copy_(0.3 * noise if key.endswith("bias") else 1 + 0.3 * noise if p.dim() == 1
                    else 0.8 * noise if "embed_tokens" in key else 1.2 * noise / p.shape[1] ** 0.5)
    model.save_pretrained(directory)
    words(directory)


def value(field):
    if field.types[0] == gguf.GGUFValueType.ARRAY:
        if field.types[1] == gguf.GGUFValueType.STRING:
            return [bytes(field.parts[i]).decode() for i in field.data]
        return [field.parts[i].tolist()[0] for i in field.data]
    part = field.parts[field.data[0]]
    return bytes(part).decode() if field.types[0] == gguf.GGUFValueType.STRING else part.tolist()[0]


def straight(rows, width):
    """Undo (heads, width/2, 2)."""
    heads = rows.shape[0] // width
    return rows.reshape(heads, width // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def read_back(file, directory, architecture, vectors=None):
    """Every tensor and every setting, against a directory with the same shapes; norms and biases are written in F32 and
    are those of the directory `vectors` where that has not rounded them."""
    reader = gguf.GGUFReader(file)
    about = {key: value(field) for key, field in reader.fields.items()}
    config = json.loads((directory / "config.json").read_text())
    if about["general.architecture"] != architecture:
        raise Failure(f"architecture {about['general.architecture']}, expected {architecture}")
    widths = config.get("layer_widths") or [dict(heads=config["num_attention_heads"], feed_forward=config["intermediate_size"],
                                                  key_value_heads=config["num_key_value_heads"])] * config["num_hidden_layers"]
    for key, name in (("attention.head_count", "heads"), ("attention.head_count_kv", "key_value_heads"),
                      ("feed_forward_length", "feed_forward")):
        all_of_them = [w[name] for w in widths]
        expected = all_of_them if architecture == "deci" else all_of_them[0]
        if about[f"{architecture}.{key}"] != expected:
            raise Failure(f"{key} is {about[f'{architecture}.{key}']}, expected {expected}")
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    for key, expected in (("embedding_length", config["hidden_size"]), ("block_count", config["num_hidden_layers"]),
                          ("context_length", config["max_position_embeddings"]), ("vocab_size", config["vocab_size"]),
                          ("attention.key_length", width), ("attention.value_length", width),
                          ("rope.dimension_count", width)):
        if about[f"{architecture}.{key}"] != expected:
            raise Failure(f"{key} is {about[f'{architecture}.{key}']}, expected {expected}")
    theirs = {}
    for path in directory.glob("model*.safetensors"):
        theirs.update(load_file(path))
    for path in (vectors or directory).glob("model*.safetensors"):
        theirs.update({key: tensor.float() for key, tensor in load_file(path).items() if tensor.dim() == 1})
    types = {gguf.GGMLQuantizationType.F32: torch.float32, gguf.GGMLQuantizationType.F16: torch.float16,
             gguf.GGMLQuantizationType.BF16: torch.bfloat16}
    for tensor in reader.tensors:
        if tensor.name == "rope_freqs.weight":
            continue
        part, end = tensor.name.rsplit(".", 1)
        name = OUTER.get(part) or f"model.layers.{part.split('.')[1]}.{INNER[part.split('.')[2]]}"
        ours = torch.from_numpy(np.array(tensor.data).view(np.uint8).copy()).view(types[tensor.tensor_type])
        ours = ours.reshape(tuple(int(n) for n in reversed(tensor.shape)))
        if architecture in ("llama", "deci") and part.endswith(("attn_q", "attn_k")):
            ours = straight(ours, width)
        known = theirs.pop(f"{name}.{end}")
        if ours.shape != known.shape or ours.dtype != known.dtype or not torch.equal(ours, known):
            raise Failure(f"{tensor.name} is not {name}.{end}")
    if theirs:
        raise Failure(f"not in the file: {sorted(theirs)}")
    if architecture == "llama" and ("rope_freqs.weight" in [t.name for t in reader.tensors]) != ("llama3" in file.name):
        raise Failure("rope_freqs is there where it should not be, or the other way round")


def prompts(seed):
    generator = np.random.default_rng(seed)
    return [generator.integers(3, 256, int(generator.integers(2, 48))).tolist() for _ in range(PROMPTS)]


def answer():
    """In a process of its own: llama.cpp's choice and its logarithm for each prompt on stdin."""
    import xllamacpp

    request = json.load(sys.stdin)
    p = xllamacpp.CommonParams()
    p.model.path = request["file"]
    p.n_ctx, p.n_parallel, p.warmup, p.cpuparams.n_threads = 64, 1, False, 1
    p.cache_type_k = p.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    p.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(p)
    answers = []
    for prompt in request["prompts"]:
        told = server.handle_completions(dict(prompt=prompt, n_predict=1, temperature=0.0, n_probs=1, cache_prompt=False))
        choice = told["choices"][0]
        if choice["finish_reason"] == "stop":  # the text ends here, of which no probability is told
            answers.append((2, None))
        else:
            first = choice["logprobs"]["content"][0]
            answers.append((first["id"], first["logprob"]))
    print(json.dumps(answers), flush=True)
    os._exit(0)


def tokenise():
    """In a process of its own: what llama.cpp cuts the texts on stdin into. Through the C interface, since the package has
    no words for it; parameters are passed on as they are given, in more room than they take."""
    import ctypes

    import xllamacpp.xllamacpp as compiled

    class Parameters(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_char * 1024)]

    request = json.load(sys.stdin)
    llama = ctypes.CDLL(compiled.__file__)
    llama.llama_model_default_params.restype = Parameters
    llama.llama_model_load_from_file.argtypes = [ctypes.c_char_p, Parameters]
    llama.llama_model_load_from_file.restype = llama.llama_model_get_vocab.restype = ctypes.c_void_p
    llama.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
    llama.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32),
                                     ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(request["file"].encode(), llama.llama_model_default_params())
    vocab = llama.llama_model_get_vocab(model)
    room, answers = (ctypes.c_int32 * 65536)(), []
    for text in request["texts"]:
        raw = text.encode()
        n = llama.llama_tokenize(vocab, raw, len(raw), room, len(room), True, True)
        answers.append(list(room[:n]))
    print(json.dumps(answers), flush=True)
    os._exit(0)


def child(what, **request):
    done = subprocess.run([sys.executable, __file__, what], input=json.dumps(request), capture_output=True, text=True, timeout=600)
    if done.returncode != 0 or not done.stdout.strip():
        raise Failure(f"llama.cpp: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def check_tokenizer(bench, folder, name):
    def cut():
        import tokenizers

        source, file = folder / f"tokenizer-{name}", folder / f"tokenizer-{name}.gguf"
        text = (ROOT / "models" / "demo" / "text").glob("*.txt")
        texts = LINES + [line for path in sorted(text) for line in path.read_text().splitlines()[:400] if line]
        if name == "mistral":  # puts no space before some texts, which a file cannot say: the tool tells its user
            texts = [t for t in texts if not t.startswith((" ", "<s>"))]
        if name == "bytes":
            size = 256
            expected = [list(t.encode()) for t in texts]
        else:
            path = ROOT / "tests" / "data" / "tokenizers" / f"{name}.json"
            theirs = tokenizers.Tokenizer.from_file(str(path))
            size = theirs.get_vocab_size(with_added_tokens=True) + 3
            expected = [theirs.encode(t).ids for t in texts]
        config = transformers.AutoConfig.for_model("llama", **{**SMALL, "vocab_size": size})
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(source)
        if name != "bytes":
            shutil.copy(path, source / "tokenizer.json")
        file.unlink(missing_ok=True)
        tool(bench, "export", source, "-o", file, "--format", "gguf")
        if not bench.runs:
            return ""
        got = child("--tokenise", file=str(file), texts=texts)
        wrong = [(t, a, b) for t, a, b in zip(texts, expected, got, strict=True) if a != b]
        if wrong:
            raise Failure(f"{len(wrong)} of {len(texts)} texts are cut in another way, the first {wrong[0][0]!r}: expected "
                          f"{wrong[0][1][:12]}, got {wrong[0][2][:12]}")
        return f"llama.cpp: {len(texts)} texts alike"

    bench.check(f"tokenizer: {name}", cut)


def same_choices(file, directory, seed):
    asked = prompts(seed)
    answers = child("--answer", file=str(file), prompts=asked)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, trust_remote_code=True,
                                                              attn_implementation="eager").eval()
    worst, chosen = 0.0, set()
    for prompt, (token, logarithm) in zip(asked, answers, strict=True):
        with torch.no_grad():
            scores = model(torch.tensor([prompt]), use_cache=False).logits[0, -1].double().log_softmax(0)
        if int(scores.argmax()) != token:
            raise Failure(f"a prompt of {len(prompt)} tokens goes on with {token}, in transformers with {int(scores.argmax())}")
        chosen.add(token)
        worst = max(worst, abs(float(scores[token]) - logarithm) if logarithm is not None else 0)
    if len(chosen) < 10:
        raise Failure("fewer than ten different tokens were chosen: the check would prove nothing")
    if worst > TOLERANCE:
        raise Failure(f"a probability differs by {worst:.1e} in its logarithm")
    return worst


class Bench:
    def __init__(self, path, only, runs):
        self.tool, self.only, self.runs, self.results = path, only, runs, []

    def check(self, name, body):
        if self.only and not any(word in name for word in self.only):
            return
        try:
            text, good = body() or "", True
        except Failure as failure:
            text, good = str(failure), False
        except Exception as error:
            text, good = f"{type(error).__name__}: {error}".replace("\n", " ")[:300], False
        self.results.append(good)
        print(f"{'PASS' if good else 'FAIL'}  {name:44} {text}", flush=True)


def check_model(bench, folder, name, data, seed):
    source, small, flat = folder / name / "source", folder / name / "small", folder / name / "flat"
    make(name, source, seed)
    kind = MODELS[name][0].replace("mistral", "llama")
    dense, uneven, padded = (folder / name / f"{name}-{part}.gguf" for part in ("dense", "uneven", "padded"))

    def written(file, model, *more):
        file.unlink(missing_ok=True)
        tool(bench, "export", model, "-o", file, "--format", "gguf", *more)
        return file

    def choices(file, directory):
        return f"llama.cpp: {PROMPTS} choices alike, {same_choices(file, directory, seed):.1e}" if bench.runs else ""

    def whole():
        read_back(written(dense, source), source, kind)
        return choices(dense, source)

    def halves():
        for dtype in ("fp16", "bf16"):
            half = folder / name / dtype
            shutil.rmtree(half, ignore_errors=True)
            tool(bench, "export", source, "-o", half, "--dtype", dtype)
            read_back(written(dense, source, "--dtype", dtype), half, kind, vectors=source)

    def prune(*more):
        for directory in (small, flat):
            shutil.rmtree(directory, ignore_errors=True)
        tool(bench, "prune", source, "-d", data, "-o", small, *more, "--criterion", "magnitude",
             "--layout", "compact", "--sparsity", "0.4", "--steps", "4", "--prune-every", "1", "--lr", "1e-30",
             "--batch", "2", "--seq-len", "16", "--seed", "7", "--threads", "1", "--runs", "1")

    def narrow(*more):
        prune(*more)
        tool(bench, "export", small, "-o", flat, "--layout", "uniform")
        read_back(written(padded, small), flat, kind)
        return choices(padded, flat)

    def apart():
        prune("--exclude-layers", "0")
        widths = json.loads((small / "config.json").read_text())["layer_widths"]
        if len({json.dumps(w) for w in widths}) == 1:
            raise Failure("the layers do not differ: the check would prove nothing")
        read_back(written(uneven, small), small, "deci")
        return choices(uneven, small)

    def filled():
        prune("--exclude-layers", "0")
        tool(bench, "export", small, "-o", flat, "--layout", "padded")
        read_back(written(padded, small, "--layout", "padded"), flat, kind)
        return choices(padded, flat)

    bench.check(f"{name}: dense", whole)
    bench.check(f"{name}: fp16 and bf16", halves)
    if name in ("llama-bias", "qwen2"):  # biases: heads have to fill the width, so that they stay
        return
    bench.check(f"{name}: pruned, layers alike", narrow)
    if name != "qwen3":
        bench.check(f"{name}: pruned, layers differ", apart)
    bench.check(f"{name}: pruned, padded", filled)
    for granularity in ("queries", "layers", "hidden"):
        if granularity != "queries" or MODELS[name][1].get("num_key_value_heads") != 4:
            bench.check(f"{name}: pruned by {granularity}", lambda: narrow("--granularity", granularity))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", help="run the checks whose name contains one of these words")
    parser.add_argument("--keep", type=pathlib.Path, help="work in this folder and leave it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-llama-cpp", action="store_true", help="only read files back, where there is no package xllamacpp")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tokenise", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.answer:
        return answer()
    if arguments.tokenise:
        return tokenise()
    if arguments.tool is None or not arguments.tool.exists():
        sys.exit(f"{arguments.tool}: no such file; build the tool first")
    runs = not arguments.without_llama_cpp
    if runs and importlib.util.find_spec("xllamacpp") is None:
        sys.exit("there is no package xllamacpp: install it, or say --without-llama-cpp to only read files back")
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / "tokens.npy"
        np.save(data, np.random.default_rng(arguments.seed).integers(0, 256, 2049).astype(np.int32))
        bench = Bench(arguments.tool.resolve(), arguments.only, runs)
        for i, name in enumerate(MODELS):
            check_model(bench, folder, name, data, 100 * arguments.seed + i)
        for name in [*TOKENIZERS, "bytes"]:
            check_tokenizer(bench, folder, name)
    print(f"{sum(bench.results)} of {len(bench.results)} checks passed; gguf {importlib.metadata.version('gguf')}, " +
          (f"xllamacpp {importlib.metadata.version('xllamacpp')}" if runs else "llama.cpp was left out"))
    return 0 if bench.results and all(bench.results) else 1


if __name__ == "__main__":
    sys.exit(main())
