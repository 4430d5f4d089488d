#!/bin/sh
# SPDX-License-Identifier: MIT
# Holds every #include of the library to the picture in docs/design.md: a layer names only layers below it, and a foreign
# library only the folder that may.     usage: layering.sh <root of the sources>
cd "${1:-.}" || exit 2
find include tools tests examples benchmarks -name '*.hpp' -o -name '*.cpp' -o -name '*.cu' | sort |
  xargs awk '
BEGIN {
  sees["core"]    = "core"
  sees["kernel"]  = "core kernel"
  sees["nn"]      = "core kernel nn"
  sees["prune"]   = "core kernel nn prune"
  sees["train"]   = "core kernel nn prune train io data"
  sees["adapter"] = "core kernel adapter"
  sees["backend"] = "core kernel backend"
  sees["io"]      = "core io"
  sees["data"]    = "core io data"
  sees["interop"] = "core interop"
  sees["model"]   = "core kernel nn prune train model adapter io data"
  # A foreign library (as included) and the files that may name it.
  may["Eigen"]                         = "^include/espalier/(backend/cpu|interop/)|^(benchmarks|tests)/"
  may["xtensor|xtl"]                   = "^include/espalier/(interop/|io/npy)|^tests/"
  may["thrust|cub|cuda.*|cublas.*|nccl.*"] = "^include/espalier/backend/(cuda|thrust)|^tests/(cuda|backend|parity|support/thrust)"
  may["nlohmann"]                      = "^tests/"
  may["CLI"]                           = "^tools/"
  may["doctest"]                       = "^tests/"
  may["benchmark"]                     = "^benchmarks/"
  # Slow to compile, and nothing the arithmetic needs.
  may["iostream|functional|ranges|random|filesystem|regex"] = "^(tools|tests|examples|benchmarks)/|/espalier/(model|train|io|data|interop|backend)/"
}
function complain(why) { printf "%s:%d: %s\n    %s\n", FILENAME, FNR, why, $0; bad++ }
/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
  match($0, /[<"][^>"]*[>"]/)
  header = substr($0, RSTART + 1, RLENGTH - 2)
  split(FILENAME, path, "/")
  inside = FILENAME ~ /^include\/espalier\/[a-z_]+\//
  if (inside && header ~ /^espalier\//) {
    split(header, part, "/")
    if (part[3] == "") complain("a library header includes single headers, not " header)
    else if (!(path[3] in sees)) complain("the folder " path[3] " is not in the picture: add it to tests/layering.sh")
    else if (index(" " sees[path[3]] " ", " " part[2] " ") == 0) complain(path[3] " may not see " part[2])
    checked++
  }
  if (FILENAME ~ /^include\/espalier\/[a-z_]*\.hpp$/ && header ~ /^espalier\/(backend\/(cpu|cuda|thrust)|interop|io\/npy)/)
    complain("the umbrella header stays free of devices and of foreign libraries")
  if (FILENAME ~ /^include\// && header ~ /^\.|^tests\/|^tools\//) complain("library headers are included as <espalier/...>")
  for (name in may)
    if (header ~ "^(" name ")([./]|$)" && FILENAME !~ may[name]) complain("this file may not name " header)
}
END {
  if (checked == 0) { print "layering: no include was checked: wrong folder?"; exit 1 }
  printf "layering: %d includes between library headers, %d against the picture\n", checked, bad
  exit bad > 0
}'
