#!/bin/sh
# SPDX-License-Identifier: MIT
# Cases on a device against the record of the CPU:  cuda.sh <parity-cuda> <record>;  77 and why where that is not possible.
if [ ! -x "$1" ]; then
  echo "skipped: parity-cuda is not built; it takes minutes: cmake --build <folder> --target parity-cuda"
  exit 77
fi
exec "$1" --compare "$2"
