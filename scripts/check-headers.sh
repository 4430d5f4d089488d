#!/bin/sh
# SPDX-License-Identifier: MIT
# Every header compiles alone, and all of them compile where the usual macros of C libraries, termios.h, X11 and Windows (but min and max)
# are defined to poison.       usage: check-headers.sh <root of the sources> <compiler> [flags...]
# Headers that need CUDA or Thrust are left out; those that need xtensor too, unless xtensor's header is found.
set -u
root=$1; shift
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$root/include" || exit 1

find espalier -name '*.hpp' ! -path 'espalier/backend/cuda*' ! -path 'espalier/backend/thrust*' | sort >"$work/all"
if ! echo '#include <xtl/xtl_config.hpp>' | "$@" -std=c++20 -x c++ -fsyntax-only - 2>/dev/null; then
  echo "no xtensor: interop/ and io/npy.hpp are left out"
  grep -v -e '^espalier/interop/' -e '^espalier/io/npy' "$work/all" >"$work/some"; mv "$work/some" "$work/all"
fi

cat >"$work/one" <<'ONE'
header=$1; shift
if ! echo "#include <$header>" | "$@" -std=c++20 -x c++ -fsyntax-only - >"$LOG" 2>&1; then
  echo "does not compile alone: $header"; sed 's/^/    /' "$LOG" | head -30; exit 1
fi
ONE
failed=0
xargs -P "${JOBS:-2}" -I '{}' sh -c 'LOG=$(mktemp) && export LOG && sh "$0" "$@"; rc=$?; rm -f "$LOG"; exit $rc' \
  "$work/one" '{}' "$@" -I. <"$work/all" || failed=1

{ # What our headers include from elsewhere comes first and is left in peace.
  xargs sed -n 's/^ *# *include *<\([^>]*\)>.*/\1/p' <"$work/all" | grep -v '^espalier/' | sort -u |
    while read -r foreign; do printf '#if __has_include(<%s>)\n#include <%s>\n#endif\n' "$foreign" "$foreign"; done
  for name in I B0 B50 small hyper near far interface unix linux major minor IN OUT OPTIONAL ERROR DIFFERENCE DOMAIN \
              OVERFLOW UNDERFLOW None Bool Status Success Always True False TRUE FALSE DELETE VOID CONST _A _B _C; do
    printf '#undef %s\n#define %s @poisoned_%s@\n' "$name" "$name" "$name"
  done
  sed 's/.*/#include <&>/' "$work/all"
} >"$work/poisoned.cpp"
if ! "$@" -std=c++20 -I. -fsyntax-only "$work/poisoned.cpp" >"$work/log" 2>&1; then
  echo "uses a name that C libraries define as a macro:"; grep -B1 -A3 -e 'stray' -e 'error' "$work/log" | head -40; failed=1
fi
echo "$(wc -l <"$work/all") headers checked with $1"
exit $failed
