#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The step of benchmarks/cuda_step.cu in PyTorch: one JSON object.

Blocks of the shape of Llama 3 8B in bf16 with frozen random weights, a LoRA branch in fp32 on all seven linear maps as PEFT
lays it out, fused causal attention, cross-entropy, clipping, fused AdamW on the adapters, and with --scores the LoRA-guided
score of every projection at every step as its authors' program computes it: full matrices, one projection after the other.
"""
import argparse, json, time

parser = argparse.ArgumentParser()
for name, value in dict(layers=4, batch=4, seq=1024, vocab=32000, rank=8, steps=10).items():
    parser.add_argument("--" + name, type=int, default=value)
parser.add_argument("--scores", action="store_true")
parser.add_argument("--compile", action="store_true", help="torch.compile on every block")
o = parser.parse_args()

import torch
from torch.nn import functional as F

hidden, heads, groups, head, ffn, scale = 4096, 32, 8, 128, 14336, 16 / o.rank
torch.manual_seed(0)
device = "cuda"


class Projection(torch.nn.Module):
    def __init__(self, rows, cols):
        super().__init__()
        self.w = torch.nn.Parameter(torch.randn(rows, cols, device=device, dtype=torch.bfloat16) / 64, requires_grad=False)
        self.a = torch.nn.Parameter(torch.randn(o.rank, cols, device=device) * 1e-2)
        self.b = torch.nn.Parameter(torch.randn(rows, o.rank, device=device) * 1e-2)

    def forward(self, x):
        return (F.linear(x, self.w) + scale * F.linear(F.linear(x.to(self.a.dtype), self.a), self.b)).to(x.dtype)

    @torch.no_grad()
    def score(self, axis):  # |(gB A + B gA - gB gA) * (W + s B A)| summed along an axis
        g = self.b.grad @ self.a + self.b @ self.a.grad - self.b.grad @ self.a.grad
        return (g * (self.w + scale * (self.b @ self.a))).abs().sum(axis)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = Projection(hidden, hidden), Projection(groups * head, hidden), Projection(groups * head, hidden)
        self.o = Projection(hidden, hidden)
        self.gate, self.up, self.down = Projection(ffn, hidden), Projection(ffn, hidden), Projection(hidden, ffn)
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
        by_group = [p.score(1).view(groups, -1).sum(1) for p in (self.q, self.k, self.v)]
        by_group.append(self.o.score(0).view(groups, -1).sum(1))
        by_channel = [self.gate.score(1), self.up.score(1), self.down.score(0)]
        for i, parts in enumerate((by_group, by_channel)):
            self.running[i].mul_(0.9).add_(sum(p / p.norm() for p in parts), alpha=0.1)


gain = torch.ones(hidden, device=device, dtype=torch.bfloat16)
blocks = torch.nn.ModuleList(Block() for _ in range(o.layers))
run = [torch.compile(b) if o.compile else b for b in blocks]
embedding = torch.randn(o.vocab, hidden, device=device, dtype=torch.bfloat16) / 64
output = torch.randn(o.vocab, hidden, device=device, dtype=torch.bfloat16) / 64
angle = torch.arange(o.seq, device=device)[:, None] * 10000 ** (-torch.arange(0, head, 2, device=device) / head)
angle = torch.cat((angle, angle), -1)
cosine, sine = angle.cos().bfloat16(), angle.sin().bfloat16()
parameters = [p for p in blocks.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0, fused=True)
ids = torch.randint(0, o.vocab, (o.batch, o.seq + 1), device=device)


def step():
    x = F.embedding(ids[:, :-1], embedding)
    for block in run:
        x = block(x, cosine, sine)
    logits = F.linear(F.rms_norm(x, (hidden,), gain, 1e-6), output)
    F.cross_entropy(logits.view(-1, o.vocab).float(), ids[:, 1:].reshape(-1)).backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    if o.scores:
        for block in blocks:
            block.score()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


for _ in range(3):
    step()
torch.cuda.synchronize()
torch.cuda.reset_peak_memory_stats()
begin = time.perf_counter()
for _ in range(o.steps):
    step()
torch.cuda.synchronize()
seconds = (time.perf_counter() - begin) / o.steps
print(json.dumps({"torch": torch.__version__, "device": torch.cuda.get_device_name(), "scores": o.scores, "compiled": o.compile,
                  "layers": o.layers, "tokens": o.batch * o.seq, "step_ms": 1e3 * seconds,
                  "tokens_per_second": o.batch * o.seq / seconds, "peak_bytes": torch.cuda.max_memory_allocated()}))
