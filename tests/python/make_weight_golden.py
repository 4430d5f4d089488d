#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/weights.json: what leaves a weight, and how the rest makes up for it, in numpy and by definition.

SparseGPT (Frantar & Alistarh 2023) without its Cholesky factor and without lazy blocks: column by column, with the inverse
of the Hessian of all columns from there on, formed anew each time, and the whole rest of the row updated at once. OBS
(Hassibi et al. 1993) on several weights of a row by their normal equations.
usage: make_weight_golden.py [output]
"""
import json
import math
import pathlib
import sys

import numpy as np

from oracle import SplitMix64

OUT, IN, TOKENS, RANK, SCALE = 5, 70, 90, 2, 2.0


def count(n, share):
    return int(math.floor(n * share + 0.5 + 1e-9))


def lowest(scores, k):
    """1 where one of the k lowest lies; of equal ones the lower index."""
    removed = np.zeros(scores.size, bool)
    removed[np.argsort(scores.ravel(), kind="stable")[:k]] = True
    return removed.reshape(scores.shape)


def apportioned(total, sizes):
    """How much of a total comes from parts of these sizes, all alike but the last: that one's share is rounded, the others
    divide the rest as evenly as whole numbers allow, the earlier ones having more."""
    last = int(math.floor(total * sizes[-1] / sum(sizes) + 0.5)) if sizes[-1] != sizes[0] else 0
    alike = sizes[:-1] if sizes[-1] != sizes[0] else sizes
    parts = [len(p) for p in np.array_split(np.arange(total - last), len(alike))]
    return parts + [last] * (len(sizes) - len(alike))


def sparse_gpt(w, h, share, block=None, pattern=None):
    """What is left of w, and what leaves. block: columns that are chosen together; pattern: (n, m)."""
    w = w.copy()
    removed = np.zeros(w.shape, bool)
    inverses = [np.linalg.inv(h[j:, j:]) for j in range(w.shape[1])]
    pivot = np.array([i[0, 0] for i in inverses])  # U_jj squared
    if pattern is None:
        starts = range(0, w.shape[1], block)
        leaving = apportioned(count(w.size, share), [w[:, j:j + block].size for j in starts])
    for j in range(w.shape[1]):
        if pattern is None and j % block == 0:
            some = slice(j, min(j + block, w.shape[1]))
            scores = w[:, some] ** 2 / pivot[some]
            removed[:, some] = lowest(scores, leaving[j // block])
        if pattern is not None and j % pattern[1] == 0:
            n, m = pattern
            width = min(m, w.shape[1] - j)
            for i in range(w.shape[0]):
                scores = w[i, j:j + width] ** 2 / pivot[j:j + width]
                removed[i, j:j + width] = lowest(scores, count(width, (m - n) / m))
        for i in range(w.shape[0]):
            if removed[i, j]:
                w[i, j:] -= w[i, j] / pivot[j] * inverses[j][0]
                w[i, j] = 0.0
    return w, removed


def obs(w, h, removed):
    """The rest of each row fitted anew, when these have left."""
    w = w.copy()
    for i in range(w.shape[0]):
        q, r = np.flatnonzero(removed[i]), np.flatnonzero(~removed[i])
        w[i, r] += np.linalg.solve(h[np.ix_(r, r)], h[np.ix_(r, q)] @ w[i, q])
        w[i, q] = 0.0
    return w


def main():
    random = SplitMix64(2301)
    w0, a, b = random.mat(OUT, IN), random.mat(RANK, IN), random.mat(OUT, RANK)
    x = random.mat(TOKENS, IN)
    w = w0 + SCALE * b @ a
    h = 2.0 / TOKENS * x.T @ x
    h += 0.01 * np.mean(np.diag(h)) * np.eye(IN)
    cases = []
    for name, share, arguments in [("unstructured", 0.37, {"block": 32}), ("unstructured", 0.37, {"block": 128}),
                                   ("2:4", 0.5, {"pattern": (2, 4)}), ("3:5", 0.4, {"pattern": (3, 5)})]:
        left, removed = sparse_gpt(w, h, share, **arguments)
        assert np.all(left[removed] == 0)
        zeroed = np.where(removed, 0.0, w)
        error = [float(np.sum((x @ (v - w).T) ** 2) / TOKENS) for v in (left, zeroed)]
        assert error[0] < error[1]
        cases.append({"pattern": name, "share": share, "block": arguments.get("block", 128), "removed": removed.astype(int),
                      "left": left, "error": error[0], "zeroed_error": error[1]})
    score = w ** 2 / (2 * np.diag(np.linalg.inv(h)))
    removed = lowest(score, count(score.size, 0.5))
    left = obs(w, h, removed)
    slope = (left - w) @ h  # fitted: no kept weight can do better
    assert np.abs(slope[~removed]).max() < 1e-10
    result = {"seed": 2301, "sparsegpt": cases, "obs": {"share": 0.5, "removed": removed.astype(int), "left": left}}
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data" / "weights.json")
    text = json.dumps(result, default=lambda v: v.tolist())
    target.write_text(text + "\n")
    print(target, len(text), "bytes")


if __name__ == "__main__":
    main()
