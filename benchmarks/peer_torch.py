#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The step of benchmarks/step.cpp in PyTorch: one JSON object with seconds per step.

A Llama-like decoder with frozen random weights, a LoRA branch on all seven linear maps, RMSNorm, RoPE, fused causal
attention, SwiGLU, cross-entropy, AdamW on the adapters, and with --prune the LoRA-guided score of every projection at
every step and masks on heads and channels at every fifth.
"""
import argparse, json, os, time

parser = argparse.ArgumentParser()
for name, value in dict(layers=4, d=256, heads=4, ffn=688, vocab=256, batch=8, tokens=256, rank=8, steps=10, threads=2).items():
    parser.add_argument("--" + name, type=int, default=value)
parser.add_argument("--prune", action="store_true")
o = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(o.threads)

import torch
from torch.nn import functional as F

torch.set_num_threads(o.threads)
torch.manual_seed(0)
head, scale = o.d // o.heads, 2.0


class Projection:
    def __init__(self, rows, cols):
        self.w = torch.randn(rows, cols) / cols**0.5
        self.a = (torch.randn(o.rank, cols) / cols**0.5).requires_grad_()
        self.b = (torch.randn(rows, o.rank) * 1e-2).requires_grad_()

    def __call__(self, x):
        return F.linear(x, self.w) + scale * F.linear(F.linear(x, self.a), self.b)

    @torch.no_grad()
    def score(self, axis):  # (G_hat * W)^2, summed along an axis; two products instead of the three of the formula
        g = torch.addmm(self.b @ self.a.grad, self.b.grad, self.a - self.a.grad)
        return g.mul_(torch.addmm(self.w, self.b, self.a, alpha=scale)).square_().sum(axis)


class Block:
    def __init__(self):
        self.q, self.k, self.v, self.o = (Projection(o.d, o.d) for _ in range(4))
        self.gate, self.up, self.down = Projection(o.ffn, o.d), Projection(o.ffn, o.d), Projection(o.d, o.ffn)
        self.heads, self.channels = torch.ones(1, o.heads, 1, 1), torch.ones(o.ffn)
        self.running = [torch.zeros(o.heads), torch.zeros(o.ffn)]

    def projections(self):
        return [self.q, self.k, self.v, self.o, self.gate, self.up, self.down]

    def __call__(self, x, cosine, sine):
        shape = x.shape[:2]
        h = F.rms_norm(x, (o.d,), gain, 1e-6)
        q, k, v = (p(h).view(*shape, o.heads, head).transpose(1, 2) for p in (self.q, self.k, self.v))
        turn = lambda u: u * cosine + torch.cat((-u[..., head // 2 :], u[..., : head // 2]), -1) * sine
        y = F.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True)
        if o.prune:
            y = y * self.heads
        x = x + self.o(y.transpose(1, 2).reshape(*shape, o.d))
        h = F.rms_norm(x, (o.d,), gain, 1e-6)
        h = F.silu(self.gate(h)) * self.up(h)
        return x + self.down(h * self.channels if o.prune else h)

    def score(self, choose):
        by_head = [p.score(1).view(o.heads, -1).sum(1) for p in (self.q, self.k, self.v)]
        by_head.append(self.o.score(0).view(o.heads, -1).sum(1))
        by_channel = [self.gate.score(1), self.up.score(1), self.down.score(0)]
        for i, parts in enumerate((by_head, by_channel)):
            self.running[i].mul_(0.9).add_(sum(parts), alpha=0.1)
            if choose:
                bits = torch.ones_like(self.running[i])
                bits[self.running[i].argsort()[: bits.numel() // 5]] = 0
                self.heads, self.channels = (bits.view(1, -1, 1, 1), self.channels) if i == 0 else (self.heads, bits)


gain = torch.ones(o.d)
blocks = [Block() for _ in range(o.layers)]
embedding, output = torch.randn(o.vocab, o.d) * 0.02, torch.randn(o.vocab, o.d) / o.d**0.5
angle = torch.arange(o.tokens)[:, None] * 10000 ** (-torch.arange(0, head, 2) / head)
angle = torch.cat((angle, angle), -1)
cosine, sine = angle.cos(), angle.sin()
parameters = [t for b in blocks for p in b.projections() for t in (p.a, p.b)]
optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0, fused=True)
ids = torch.randint(0, o.vocab, (o.batch, o.tokens + 1))

wall, cpu = [], []
for step in range(o.steps + 2):
    start = time.perf_counter(), time.process_time()
    x = F.embedding(ids[:, :-1], embedding)
    for block in blocks:
        x = block(x, cosine, sine)
    logits = F.linear(F.rms_norm(x, (o.d,), gain, 1e-6), output)
    F.cross_entropy(logits.view(-1, o.vocab), ids[:, 1:].reshape(-1)).backward()
    if o.prune:
        for block in blocks:
            block.score(step % 5 == 4)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if step >= 2:
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
median = lambda t: sorted(t)[len(t) // 2]
print(json.dumps({"torch": torch.__version__, "prune": o.prune, "threads": o.threads, "wall_ms": 1e3 * median(wall),
                  "wall_ms_min": 1e3 * min(wall), "cpu_ms": 1e3 * median(cpu), "cpu_ms_min": 1e3 * min(cpu)}))
