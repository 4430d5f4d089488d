#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in README.md is examples/prune.cpp, which is compiled and run.     usage: readme.sh <root of the sources>
cd "${1:-.}" || exit 2
shown=$(awk '/^```cpp$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' README.md)
real=$(sed 1d examples/prune.cpp)
[ -n "$shown" ] || { echo "readme: README.md shows no program"; exit 1; }
[ "$shown" = "$real" ] && { echo "readme: README.md shows examples/prune.cpp"; exit 0; }
echo "readme: the program in README.md is not examples/prune.cpp (without its first line)"
exit 1
