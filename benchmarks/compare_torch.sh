#!/bin/sh
# SPDX-License-Identifier: MIT
# One training step, ours and PyTorch's in turn, on the same threads of the same machine.
#     usage: compare_torch.sh <benchmark-step> <python with torch> [threads]        e.g. build/benchmarks/benchmark-step python3 2
# On a machine that others use too, compare processor time on one thread (cpu_ms); on an idle one, wall time on all.
set -eu
step=$1 python=$2 threads=${3:-2}
peer=$(dirname "$0")/peer_torch.py
export OMP_NUM_THREADS="$threads" OMP_PROC_BIND=true OMP_PLACES=cores
ours() { "$step" --benchmark_filter="^$1/small:$2/" --benchmark_min_time=4 2>&1 | grep -o ' *\(cpu_ms\|cpu_ms_min\|wall_ms\|wall_ms_min\)=[^ ]*' | tr -d '\n'; }
for kind in plain pruned; do
  for size in 0 1; do
    set -- --threads "$threads"
    if [ "$kind" = pruned ]; then set -- "$@" --prune; fi
    if [ "$size" = 1 ]; then set -- "$@" --layers 12 --d 768 --heads 12 --ffn 2048 --vocab 8192 --batch 4 --steps 4; fi
    for round in 1 2; do
      echo "$kind, configuration $size, round $round"
      echo "  ours: $(ours "$kind" "$size")"
      echo "  torch: $("$python" "$peer" "$@")"
    done
  done
done
