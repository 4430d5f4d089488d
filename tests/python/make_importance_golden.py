#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/importance.json: what criteria that were born on single weights say of groups, in numpy.

Hassibi et al. 1993 on the columns of a unit, by the textbook formula with the inverse in full, and held against a least
squares fit by its normal equations; Wanda (Sun et al. 2024) beside a low-rank adapter over steps that count less and less.
usage: make_importance_golden.py [output]
"""
import json
import pathlib
import sys

import numpy as np

from oracle import SplitMix64


def obs(w, h, dead, units):
    """Score of each unit (a list of columns), and how the rest moves when it leaves; dead columns have left before."""
    alive = [j for j in range(w.shape[1]) if j not in dead]
    inverse = np.zeros_like(h)
    inverse[np.ix_(alive, alive)] = np.linalg.inv(h[np.ix_(alive, alive)])
    scores, moves = [], []
    for q in units:
        if any(j in dead for j in q):
            scores.append(0.0), moves.append(np.zeros_like(w))
            continue
        block = np.linalg.inv(inverse[np.ix_(q, q)])
        scores.append(0.5 * float(np.einsum("ij,jk,ik->", w[:, q], block, w[:, q])))
        move = -w[:, q] @ block @ inverse[q, :]
        # the rest fitted anew: minimise δ H δᵀ / 2 with δ_Q = −w_Q over the living
        rest = [j for j in alive if j not in q]
        fitted = np.zeros_like(w)
        fitted[:, q] = -w[:, q]
        fitted[:, rest] = np.linalg.solve(h[np.ix_(rest, rest)], h[np.ix_(rest, q)] @ w[:, q].T).T
        assert np.allclose(move, fitted, rtol=0, atol=1e-11 * np.abs(w).max())
        assert np.isclose(0.5 * np.einsum("ij,jk,ik->", fitted, h, fitted), scores[-1], rtol=1e-11)
        moves.append(move)
    return scores, moves


def obs_case():
    rng = SplitMix64(1993)
    out, inn, rank, n = 5, 12, 2, 30
    w0, a, b, x = rng.mat(out, inn), rng.mat(rank, inn), rng.mat(out, rank), rng.mat(n, inn)
    w = w0 + 2.0 * b @ a  # alpha 4
    raw = 2.0 / n * x.T @ x

    def damped(dead):
        alive = [j for j in range(inn) if j not in dead]
        return raw + 0.01 * float(np.mean(np.diag(raw)[alive])) * np.eye(inn)

    case = {"scores": {}, "masked": {}}
    for width in (1, 2, 3, 4, 6):
        units = [list(range(u, u + width)) for u in range(0, inn, width)]
        case["scores"][str(width)] = obs(w, damped([]), [], units)[0]
        case["masked"][str(width)] = obs(w, damped(units[1]), units[1], units)[0]
    # units of three columns: 0 and 2 leave together, then 3 out of what is left
    both = [0, 1, 2, 6, 7, 8]
    move = obs(w, damped([]), [], [both])[1][0]
    stays = [j for j in range(inn) if j not in both]
    first = w0.copy()
    first[:, stays] += move[:, stays]
    last = [9, 10, 11]
    merged = first + 2.0 * b @ a
    scores, moves = obs(merged, damped(both), both, [[j, j + 1, j + 2] for j in range(0, inn, 3)])
    second = first.copy()
    stays = [3, 4, 5]
    second[:, stays] += moves[3][:, stays]
    case |= {"after_0_and_2": first.ravel().tolist(), "scores_then": scores, "after_3": second.ravel().tolist()}
    assert last == [9, 10, 11]
    return case


def wanda_case():
    rng = SplitMix64(2024)
    out, inn, rank, n = 6, 8, 2, 5
    w0, a, b, x1, x2 = rng.mat(out, inn), rng.mat(rank, inn), rng.mat(out, rank), rng.mat(n, inn), rng.mat(n, inn)
    w = w0 + 2.0 * b @ a
    case = {}
    for decay in (1.0, 0.5, 0.0):
        squares, tokens = (x1 ** 2).sum(0), n
        squares, tokens = decay * squares + (x2 ** 2).sum(0), decay * tokens + n
        element = np.abs(w) * np.sqrt(squares / tokens)[None, :]
        case[str(decay)] = {"rows": element.sum(1).reshape(-1, 2).sum(1).tolist(),
                            "columns": element.sum(0).reshape(-1, 2).sum(1).tolist()}
    return case


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "data" / "importance.json")
    target.write_text(json.dumps({"obs": obs_case(), "wanda": wanda_case()}, indent=1) + "\n")
