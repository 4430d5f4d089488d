#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is missing, builds the tool, and fine-tunes and prunes the small transformer in models/demo:
# results in espalier-demo/. Where all is installed it is
#   cmake --workflow --preset demo && build/demo/espalier demo --out espalier-demo
set -eu
cd -- "$(dirname -- "$0")"
. ./scripts/bootstrap.sh

prepare demo
run cmake --build --preset demo --parallel "$JOBS"
run build/demo/espalier demo --out espalier-demo --overwrite "$@"
