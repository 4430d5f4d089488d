#!/bin/sh
# SPDX-License-Identifier: MIT
# A file must compile as it stands, and must not with -DFAULT; the errors then contain one of its "// expect: " texts
# (compilers word them differently).           usage: check.sh <file> <compiler> [flags...]
file=$1; shift
expected=$(sed -n 's,^// expect: ,,p' "$file")
[ -n "$expected" ] || { echo "$file: no line // expect:"; exit 1; }
"$@" -std=c++20 -fsyntax-only "$file" || { echo "$file does not compile even without its fault"; exit 1; }
if errors=$("$@" -std=c++20 -fsyntax-only -DFAULT "$file" 2>&1); then
  echo "$file compiles with its fault"; exit 1
fi
if echo "$errors" | grep -q -F -e "$expected"; then  # one pattern a line
  echo "refused, as it must be"
else
  echo "$file is refused, but for another reason than:"; echo "$expected"; echo "$errors" | head -30; exit 1
fi
