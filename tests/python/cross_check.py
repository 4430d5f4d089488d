#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The built tool against the real transformers and peft, on random small checkpoints that transformers makes now.

    python3 tests/python/cross_check.py --tool build/release/tools/espalier

Needs torch, transformers, peft, tokenizers and numpy (versions tried: see tests/python/make_golden.py). One PASS or FAIL
line a check, a summary, and exit code 0 only when every check passed. Nothing of Espalier but the tool itself is used: which
heads and channels a pruned file kept is found by looking for its rows in the source, not by reading the plan.

cross_language.py, cross_encoders.py     the models, and what only they have
cross_model.py                           what is checked of all: files, pruned and not; adapters in both directions
cross_bench.py, cross_parts.py           the tool's command line; where in a model that stands which is pruned
"""
import argparse
import pathlib
import sys
import tempfile

from cross_bench import Bench
from cross_encoders import check_encoders
from cross_language import check_language
import peft
import torch
import transformers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", type=pathlib.Path, required=True)
    parser.add_argument("--only", nargs="*", help="run the checks whose name contains one of these words")
    parser.add_argument("--keep", type=pathlib.Path, help="work in this folder and leave it")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not arguments.tool.exists():
        sys.exit(f"{arguments.tool}: no such file; build the tool first")
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(arguments.tool.resolve(), folder, arguments.only)
        check_language(bench, 100 * arguments.seed)
        check_encoders(bench, 100 * arguments.seed + 50)
    failed = [name for name, good in bench.results if not good]
    print(f"{len(bench.results) - len(failed)} of {len(bench.results)} checks passed; torch {torch.__version__}, "
          f"transformers {transformers.__version__}, peft {peft.__version__}")
    return 1 if failed or not bench.results else 0


if __name__ == "__main__":
    sys.exit(main())
