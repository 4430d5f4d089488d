#!/bin/sh
# SPDX-License-Identifier: MIT
# Fills a folder with the headers that dependencies.json names, as they are installed here, so that a machine without a
# network can build:     gather-dependencies.sh FOLDER       and there     cmake -DCMAKE_PREFIX_PATH=FOLDER …
# Thrust comes with the CUDA toolkit.
set -eu
folder=${1:?usage: gather-dependencies.sh FOLDER}
root=$(cd -- "$(dirname -- "$0")/.." && pwd)
mkdir -p "$folder/include" "$folder/lib/cmake"
folder=$(cd "$folder" && pwd)

# name, target, header and needs of each, a line each
python3 - "$root/dependencies.json" <<'LIST' >"$folder/list"
import json, sys
for d in json.load(open(sys.argv[1]))["dependencies"]:
    print(d["name"], d["target"], d["header"], ",".join(d["needs"]) or "-", d["debian"])
LIST

missing=0
while read -r name target header needs debian; do
  from=""
  for place in /usr/local/include /usr/include /usr/include/eigen3; do
    if [ -z "$from" ] && [ -e "$place/$header" ]; then from=$place; fi
  done
  if [ -z "$from" ]; then echo "missing: $header (Debian: $debian)"; missing=$((missing + 1)); continue; fi
  top=${header%%/*}
  rm -rf "$folder/include/$top"
  cp -RL "$from/$top" "$folder/include/$top"
  mkdir -p "$folder/lib/cmake/$name"
  {
    printf '# Headers gathered from %s\n' "$from"
    printf 'get_filename_component(gathered "${CMAKE_CURRENT_LIST_DIR}/../../../include" ABSOLUTE)\n'
    if [ "$needs" != - ]; then
      for need in $(echo "$needs" | tr , ' '); do printf 'find_package(%s CONFIG REQUIRED)\n' "$need"; done
    fi
    printf 'if(NOT TARGET %s)\n  add_library(%s INTERFACE IMPORTED)\n' "$target" "$target"
    printf '  set_target_properties(%s PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${gathered}")\n' "$target"
    if [ "$needs" != - ]; then printf '  target_link_libraries(%s INTERFACE %s)\n' "$target" "$(echo "$needs" | tr , ' ')"; fi
    printf 'endif()\n'
  } >"$folder/lib/cmake/$name/${name}Config.cmake"
  echo "gathered $name from $from"
done <"$folder/list"
rm "$folder/list"
if [ "$missing" != 0 ]; then echo "$missing missing"; exit 1; fi
du -sh "$folder" | sed 's/\t.*/ in all/'
