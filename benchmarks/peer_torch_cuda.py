#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The step of benchmarks/cuda_step.cu in PyTorch and PEFT: one JSON object.

Blocks of the shape of Llama 3 8B in bf16 with frozen random weights, PEFT's own LoRA layers (adapters in fp32, as it makes
them) on all seven linear maps, fused causal attention, cross-entropy, clipping, fused AdamW on the adapters, and with
--scores the LoRA-guided score of every projection at every step as its authors' program computes it: full matrices, one
projection after the other. --hidden and what follows it make it small enough to try it on a CPU: --device cpu.
"""
import argparse, json, sys, time

parser = argparse.ArgumentParser()
for name, value in dict(layers=4, batch=4, seq=1024, vocab=32000, rank=8, steps=10, hidden=4096, heads=32, groups=8, ffn=14336).items():
    parser.add_argument("--" + name, type=int, default=value)
parser.add_argument("--scores", action="store_true")
parser.add_argument("--compile", action="store_true", help="torch.compile on every block")
parser.add_argument("--device", default="cuda")
o = parser.parse_args()

try:
    import torch
    import peft
    from torch.nn import functional as F
except ImportError as error:
    sys.exit(f"{sys.argv[0]}: {error}. It measures PyTorch with PEFT and has no substitute for either: pip install torch peft")
if o.device == "cuda" and not torch.cuda.is_available():
    sys.exit(f"{sys.argv[0]}: torch {torch.__version__} sees no CUDA device; --device cpu tries the program on a CPU")

hidden, heads, groups, ffn = o.hidden, o.heads, o.groups, o.ffn
head = hidden // heads
torch.manual_seed(0)
device = o.device


def linear(rows, cols):
    map = torch.nn.Linear(cols, rows, bias=False, device=device, dtype=torch.bfloat16)
    map.weight.data.copy_(torch.randn(rows, cols, device=device, dtype=torch.bfloat16) / 64)
    return map


@torch.no_grad()
def score(map, axis):  # |(gB A + B gA - gB gA) * (W + s B A)| summed along an axis
    a, b, s = map.lora_A["default"].weight, map.lora_B["default"].weight, map.scaling["default"]
    g = b.grad @ a + b @ a.grad - b.grad @ a.grad
    return (g * (map.base_layer.weight + s * (b @ a))).abs().sum(axis)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = linear(hidden, hidden), linear(groups * head, hidden), linear(groups * head, hidden)
        self.o = linear(hidden, hidden)
        self.gate, self.up, self.down = linear(ffn, hidden), linear(ffn, hidden), linear(hidden, ffn)
        self.register_buffer("channels", torch.ones(ffn, device=device, dtype=torch.bfloat16))
        self.register_buffer("units", torch.ones(1, groups, 1, 1, device=device, dtype=torch.bfloat16))
        self.running = [torch.zeros(groups, device=device), torch.zeros(ffn, device=device)]

    def forward(self, x, cosine, sine):
        n, t = x.shape[:2]
        h = F.rms_norm(x, (hidden,), gain, 1e-6)
        q = self.q(h).view(n, t, heads, head).transpose(1, 2)
        k, v = (p(h).view(n, t, groups, head).transpose(1, 2) for p in (self.k, self.v))
        turn = lambda u: u * cosine + torch.cat((-u[..., head // 2 :], u[..., : head // 2]), -1) * sine
        y = F.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True, enable_gqa=True)
        if o.scores:
            y = (y.view(n, groups, heads // groups, t, head) * self.units[:, :, None]).view(n, heads, t, head)
        x = x + self.o(y.transpose(1, 2).reshape(n, t, hidden))
        h = F.rms_norm(x, (hidden,), gain, 1e-6)
        h = F.silu(self.gate(h)) * self.up(h)
        return x + self.down(h * self.channels if o.scores else h)

    @torch.no_grad()
    def score(self):
        by_group = [score(p, 1).view(groups, -1).sum(1) for p in (self.q, self.k, self.v)]
        by_group.append(score(self.o, 0).view(groups, -1).sum(1))
        by_channel = [score(self.gate, 1), score(self.up, 1), score(self.down, 0)]
        for i, parts in enumerate((by_group, by_channel)):
            self.running[i].mul_(0.9).add_(sum(p / p.norm() for p in parts), alpha=0.1)


class Stack(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList(Block() for _ in range(o.layers))


gain = torch.ones(hidden, device=device, dtype=torch.bfloat16)
options = peft.LoraConfig(r=o.rank, lora_alpha=16, lora_dropout=0.0, bias="none",
                          target_modules=["q", "k", "v", "o", "gate", "up", "down"])
model = peft.get_peft_model(Stack(), options)  # freezes the rest, and makes adapters in fp32
blocks = list(model.base_model.model.blocks)
parameters = [p for p in model.parameters() if p.requires_grad]
assert len(parameters) == 2 * 7 * o.layers and all(p.dtype == torch.float32 for p in parameters)
with torch.no_grad():
    for p in parameters:  # an adapter that has learnt something: a score of B = 0 has fewer terms
        p.copy_(torch.randn_like(p) * 1e-2)
run = [torch.compile(b) if o.compile else b for b in blocks]
embedding = torch.randn(o.vocab, hidden, device=device, dtype=torch.bfloat16) / 64
output = torch.randn(o.vocab, hidden, device=device, dtype=torch.bfloat16) / 64
angle = torch.arange(o.seq, device=device)[:, None] * 10000 ** (-torch.arange(0, head, 2, device=device) / head)
angle = torch.cat((angle, angle), -1)
cosine, sine = angle.cos().bfloat16(), angle.sin().bfloat16()
optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0, fused=True)
ids = torch.randint(0, o.vocab, (o.batch, o.seq + 1), device=device)
synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None


def step():
    x = F.embedding(ids[:, :-1], embedding)
    for block in run:
        x = block(x, cosine, sine)
    logits = F.linear(F.rms_norm(x, (hidden,), gain, 1e-6), output)
    loss = F.cross_entropy(logits.view(-1, o.vocab).float(), ids[:, 1:].reshape(-1))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    if o.scores:
        for block in blocks:
            block.score()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach()


for _ in range(3):
    step()
synchronize()
if device == "cuda":
    torch.cuda.reset_peak_memory_stats()
begin = time.perf_counter()
for _ in range(o.steps):
    loss = step()
synchronize()
seconds = (time.perf_counter() - begin) / o.steps
# Necessary products of a step with a frozen base, as cuda_step.cu counts them: nobody is below the first block.
tokens, deep = o.batch * o.seq, 2 * o.layers
maps = (deep - 1) * hidden * (hidden + 2 * groups * head) + deep * (hidden * hidden + 3 * hidden * ffn) + 2 * o.vocab * hidden
flops = 2 * tokens * maps + 7 * o.batch * o.seq * (o.seq + 1) * hidden * o.layers
print(json.dumps({"torch": torch.__version__, "peft": peft.__version__,
                  "device": torch.cuda.get_device_name() if device == "cuda" else device, "scores": o.scores, "compiled": o.compile,
                  "layers": o.layers, "tokens": o.batch * o.seq, "loss": float(loss), "step_ms": 1e3 * seconds,
                  "tokens_per_second": o.batch * o.seq / seconds, "tflops": 1e-12 * flops / seconds,
                  "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else None}))
