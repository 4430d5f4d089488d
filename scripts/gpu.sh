#!/bin/bash
# SPDX-License-Identifier: MIT
# Everything, on a machine that has a GPU and maybe no network: builds, runs the tests of the CPU and those for devices (also
# under compute-sanitizer where it works), compares the backends number by number, measures both, and prints one table.
#   scripts/gpu.sh [--deps FOLDER] [--build FOLDER] [--arch NN] [--quick]
# FOLDER of --deps: what scripts/gather-dependencies.sh filled elsewhere. --quick: only what needs the GPU, no sanitizer, no
# benchmark. PYTHON: an interpreter that has torch and peft, which the benchmark is held against.
set -u
cd -- "$(dirname -- "$0")/.." || exit 1
deps="" build=build/gpu arch="" quick=0
while [ $# -gt 0 ]; do
  case $1 in
    --deps) deps=$(cd "$2" && pwd) || exit 2; shift 2 ;;
    --build) build=$2; shift 2 ;;
    --arch) arch=$2; shift 2 ;;
    --quick) quick=1; shift ;;
    *) echo "usage: scripts/gpu.sh [--deps FOLDER] [--build FOLDER] [--arch NN] [--quick]"; exit 2 ;;
  esac
done
export PATH="$PATH:/usr/local/cuda/bin"
python=${PYTHON:-python3}
mkdir -p "$build/logs"
logs=$build/logs jobs=${JOBS:-$(nproc)}
table=() failed=0 checked=""
row() { table+=("$(printf '%-34s %-9s %6s   %s' "$1" "$2" "$3" "$4")"); printf '%s\n' "${table[-1]}"; }

attempt() { # attempt <name> <log> <seconds it may take> <command…>: a row of the table
  local name=$1 log=$logs/$2 limit=$3 begun=$SECONDS status verdict
  shift 3
  timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1
  status=$?
  case $status in
    0) verdict=passed ;;
    77) verdict=skipped ;;
    124 | 137) verdict=TIMEOUT failed=$((failed + 1)) ;;
    *) verdict=FAILED failed=$((failed + 1)) ;;
  esac
  row "$name" "$verdict" "$((SECONDS - begun)) s" "$(grep -v '^{' "$log" | tail -n 1 | cut -c1-90)"
  [ $status = 0 ] || [ $status = 77 ] || tail -n 25 "$log" | sed 's/^/        /'
  return $status
}
target() { cmake --build "$build" --target help 2>/dev/null | grep -qE "(^|[ .])$1(:|$| )"; }

if [ -z "$arch" ]; then arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .); fi
echo "device: $(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null || echo none)   architecture: ${arch:-90}"

generator=""
if command -v ninja >/dev/null; then generator="-G Ninja"; fi
attempt configure configure.log 300 cmake -S . -B "$build" $generator -DCMAKE_BUILD_TYPE=Release -DESPALIER_CUDA=ON \
  -DESPALIER_CUDA_ARCHITECTURES="${arch:-90}" -DESPALIER_BUILD_EXAMPLES=OFF -DESPALIER_INSTALL=OFF -DESPALIER_FETCH=OFF \
  -DESPALIER_NPY=OFF ${deps:+-DCMAKE_PREFIX_PATH="$deps"} || exit 1
suite=""
if [ $quick = 0 ]; then
  for name in tests parity-thrust; do
    if target "$name"; then suite="$suite $name"; fi
  done
fi
programs="test-cuda-backend test-cuda-kernels test-cuda-encoders test-cuda-model benchmark-cuda-step espalier_tool"
for parity in parity-cpu parity-cuda; do
  if target "$parity"; then programs="$programs $parity"; fi
done
attempt build build.log 3000 cmake --build "$build" --parallel "$jobs" --target $programs || exit 1

if [ -n "$suite" ]; then
  attempt "build the tests of the CPU" build-tests.log 3000 cmake --build "$build" --parallel "$jobs" --target $suite parity-cpu &&
    attempt "tests of the CPU" tests.log 3000 ctest --test-dir "$build" --parallel "$jobs" -LE cuda --output-on-failure
elif [ $quick = 0 ]; then
  row "tests of the CPU" absent "" "no doctest here: see $logs/configure.log"
fi
for name in backend kernels encoders model; do
  attempt "test $name" "test-$name.log" 900 "$build/bin/test-cuda-$name"
done
attempt "tool: doctor" doctor.log 60 "$build/espalier" doctor
attempt "tool: demo in fp32" demo.log 900 "$build/espalier" demo --device cuda --weights fp32 --overwrite -o "$build/demo-out"

if [ $quick = 0 ] && sanitizer=$(command -v compute-sanitizer); then
  "$sanitizer" --error-exitcode 9 "$build/bin/test-cuda-backend" --test-case="*starts at zero*" >"$logs/sanitizer.log" 2>&1
  if grep -q -e 'Device not supported' -e 'Failed to initialize' "$logs/sanitizer.log"; then
    row compute-sanitizer absent "" "it does not work with this driver: $logs/sanitizer.log"
  else
    for tool in memcheck racecheck initcheck synccheck; do
      for name in backend kernels encoders model; do
        attempt "$tool $name" "$tool-$name.log" 1200 "$sanitizer" --tool "$tool" --error-exitcode 9 "$build/bin/test-cuda-$name" \
          --test-case-exclude="*larger than the ring*,*there is not*,*beyond what a block*,*has the same bits*"
      done
    done
    checked=$sanitizer
  fi
fi

cpu=$(find "$build" -name parity-cpu -type f -perm -u+x 2>/dev/null | head -1)
gpu=$(find "$build" -name parity-cuda -type f -perm -u+x 2>/dev/null | head -1)
if [ -n "$cpu" ] && [ -n "$gpu" ]; then
  attempt "parity: recorded on the CPU" parity-cpu.log 1200 "$cpu" --record "$build/parity.record" &&
    attempt "parity: compared on the GPU" parity-cuda.log 1200 "$gpu" --compare "$build/parity.record"
  if [ -n "$checked" ]; then
    attempt "memcheck parity of modules" memcheck-parity.log 1200 "$checked" --tool memcheck --error-exitcode 9 "$gpu" \
      --compare "$build/parity.record" --only modules
  fi
else
  row parity absent "" "no parity-cpu and parity-cuda in this tree"
fi

if [ $quick = 0 ]; then
  attempt "benchmark: this library" benchmark.log 900 "$build/benchmarks/benchmark-cuda-step"
  if "$python" -c 'import torch, peft; assert torch.cuda.is_available()' 2>/dev/null; then
    for scores in "" --scores; do
      attempt "benchmark: PyTorch ${scores#--}" "torch${scores#--}.log" 900 "$python" benchmarks/peer_torch_cuda.py $scores
    done
  else
    row "benchmark: PyTorch" absent "" "$python has no torch with CUDA, or no peft"
  fi
  if cmake -S . -B "$build/cpu" $generator -DCMAKE_BUILD_TYPE=Release -DESPALIER_CUDA=OFF -DESPALIER_BUILD_BENCHMARKS=ON \
    -DESPALIER_BUILD_TESTS=OFF -DESPALIER_BUILD_TOOLS=OFF -DESPALIER_BUILD_EXAMPLES=OFF -DESPALIER_INSTALL=OFF -DESPALIER_FETCH=OFF \
    ${deps:+-DCMAKE_PREFIX_PATH="$deps"} >"$logs/benchmark-cpu.log" 2>&1; then
    attempt "benchmark: build for the CPU" benchmark-cpu.log 1200 cmake --build "$build/cpu" --parallel "$jobs" &&
      for name in gemm importance step; do
        attempt "benchmark: $name on the CPU" "benchmark-$name.log" 900 "$build/cpu/benchmarks/benchmark-$name"
      done
  else
    row "benchmark: on the CPU" absent "" "no Google Benchmark here: see $logs/benchmark-cpu.log"
  fi
fi

echo
echo "== all of it, on $(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)"
printf '%s\n' "${table[@]}"
if [ $quick = 0 ]; then grep -h -e '^  product' -e '^  copies' -e '^step' "$logs/benchmark.log" 2>/dev/null; cat "$logs"/torch*.log 2>/dev/null | grep '^{'; fi
echo "$failed failed; logs in $logs"
[ $failed = 0 ]
