#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is missing, builds everything and runs every test. Where all is installed it is
#   cmake --workflow --preset test
set -eu
cd -- "$(dirname -- "$0")"
. ./scripts/bootstrap.sh

prepare test
run cmake --build --preset test --parallel "$JOBS"
run ctest --preset test --parallel "$JOBS" "$@"
