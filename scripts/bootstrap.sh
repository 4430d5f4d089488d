# SPDX-License-Identifier: MIT
# Sourced by test.sh and demo.sh in the root of the sources:  prepare <preset>
#
# Leaves a configured build/<preset>, installing only what a probe finds missing. The first that works:
#   1 all is there: nothing is installed, the network is not touched
#     (what dependencies.json calls optional is tried for, and done without)
#   2 apt, as root or with a sudo that asks no password
#   3 apt without root, if a compiler is there: packages unpacked into .deps/ in this folder
#   4 the pinned archives of dependencies.json, if a compiler and CMake are there
# and otherwise one screen of advice and exit status 3.
# ESPALIER_NO_INSTALL=1 stops after 1.  CXX and JOBS are honoured.  ESPALIER_DEPS_DIR holds archives already downloaded.

exec </dev/null
deps="$PWD/.deps"

run() {
  printf '+ %s\n' "$*" >&2
  "$@"
}

use_deps() { # what an earlier run unpacked
  [ -d "$deps/root/usr" ] || return 0
  CMAKE_PREFIX_PATH="$deps/root/usr${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}"
  PATH="$deps/bin:$PATH"
  export CMAKE_PREFIX_PATH PATH
}

compiler_works() {
  probe=$(mktemp -d) || return 1
  cat >"$probe/probe.cpp" <<'END'
#include <bit>
#include <concepts>
#include <span>
#include <vector>
template <std::floating_point T> struct Options { T rate; int steps = 1; };
template <class T> Options(T) -> Options<T>;
int main() {
  Options<float> options{.rate = 1.0f};
  std::vector<float> v{options.rate};
  return std::bit_cast<unsigned>(std::span(v)[0]) == 0x3f800000u ? 0 : 1;
}
END
  found=1
  for candidate in ${CXX:-c++ g++ clang++ g++-14 g++-13 g++-12}; do
    if command -v "$candidate" >/dev/null 2>&1 &&
       "$candidate" -std=c++20 "$probe/probe.cpp" -o "$probe/probe" >/dev/null 2>&1 && "$probe/probe"; then
      CXX=$candidate found=0
      export CXX
      break
    fi
  done
  rm -rf "$probe"
  return $found
}

tools_work() {
  cmake -P scripts/needs-cmake.cmake >/dev/null 2>&1 || return 1
  if command -v make >/dev/null 2>&1; then return 0; fi
  command -v ninja >/dev/null 2>&1 && CMAKE_GENERATOR=Ninja && export CMAKE_GENERATOR
}

configure() { # the probe for headers is the configuration itself
  mkdir -p build
  if [ -e "$deps/fetched" ]; then set -- "$1" ON; fi
  cmake --preset "$1" "-DESPALIER_FETCH=${2:-OFF}" ${ESPALIER_DEPS_DIR:+"-DESPALIER_DEPS_DIR=$ESPALIER_DEPS_DIR"} \
    >build/configure.log 2>&1
}

works() { compiler_works && tools_work && configure "$1"; }
# Works, and no test is left out because its library is not there.
ready() { works "$1" && ! grep -q 'is left out' build/configure.log; }

packages() {
  echo g++ make cmake
  sed -n 's/.*"debian": "\([^"]*\)".*/\1/p' dependencies.json
}

update() { # networks fail now and then
  for attempt in 1 2 3; do
    if run "$@" -qq update; then return 0; fi
    sleep "$attempt"
  done
  return 1
}

apt_as_root() {
  command -v apt-get >/dev/null 2>&1 || return 1
  if [ "$(id -u)" = 0 ]; then sudo=""
  elif sudo -n true 2>/dev/null; then sudo="sudo -n"
  else return 1; fi
  # shellcheck disable=SC2046,SC2086
  set -- $(packages)
  # shellcheck disable=SC2086
  update $sudo apt-get &&
    run $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends --no-upgrade "$@"
}

apt_without_root() { # apt with a state of its own; dpkg unpacks, nothing is configured
  command -v apt-get >/dev/null 2>&1 && compiler_works || return 1
  mkdir -p "$deps/apt/state/lists/partial" "$deps/apt/cache/archives/partial" "$deps/root" "$deps/bin" "$deps/deb"
  cat >"$deps/apt.conf" <<END
Dir::State "$deps/apt/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$deps/apt/cache";
APT::Sandbox::User "$(id -un)";
Debug::NoLocking "true";
END
  APT_CONFIG="$deps/apt.conf" update apt-get || return 1
  # What a real installation would bring, but the compiler that is there; and ninja for make, which cannot call itself in
  # a folder whose name has a space.
  # shellcheck disable=SC2046
  set -- $(packages | sed -e 's/g++ make/ninja-build/')
  # shellcheck disable=SC2046
  set -- $(APT_CONFIG="$deps/apt.conf" apt-get -qq -s install --no-install-recommends --no-upgrade "$@" |
           sed -n 's/^Inst \([^ ]*\).*/\1/p')
  if [ $# = 0 ]; then return 1; fi
  (cd "$deps/deb" && APT_CONFIG="$deps/apt.conf" run apt-get -qq download "$@") || return 1
  for package in "$deps"/deb/*.deb; do dpkg -x "$package" "$deps/root" || return 1; done
  rm -rf "$deps/deb" "$deps/apt"
  for tool in cmake ctest ninja; do # they find their own libraries beside them
    if [ -x "$deps/root/usr/bin/$tool" ]; then
      cat >"$deps/bin/$tool" <<'END'
#!/bin/sh
root=$(dirname -- "$(dirname -- "$0")")/root
for folder in "$root"/usr/lib/*-linux-gnu* "$root"/lib/*-linux-gnu*; do
  if [ -d "$folder" ]; then LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"; fi
done
export LD_LIBRARY_PATH
exec "$root/usr/bin/$(basename -- "$0")" "$@"
END
      chmod +x "$deps/bin/$tool"
    fi
  done
  use_deps
}

fetched() {
  compiler_works && tools_work && configure "$1" ON && mkdir -p "$deps" && : >"$deps/fetched"
}

advise() {
  {
    printf '\nespalier: something that the build needs is missing.\n'
    if ! compiler_works; then
      echo "  - a C++20 compiler (g++ 12 or newer, clang 14 or newer); CXX=... names one that is not the default"
    elif ! tools_work; then
      echo "  - CMake 3.25 or newer, with make or ninja"
    elif [ -e build/configure.log ]; then
      sed -n -e 's/^ *espalier: /  - /p' build/configure.log | grep 'not installed' || tail -n 5 build/configure.log
    fi
    cat <<END

As root, on Debian 12 or newer and on Ubuntu 24.04 or newer:
  apt-get install $(packages | tr '\n' ' ')
Without root, on any Linux or macOS, also brings a compiler:
  conda create -n espalier -c conda-forge cxx-compiler cmake make eigen xtensor cli11 doctest nlohmann_json
  conda activate espalier
macOS:
  brew install cmake eigen xtensor cli11 doctest nlohmann-json
Without a network: put the archives that dependencies.json lists into a folder, each named
  <name>-<version>-<last part of its url>, and set ESPALIER_DEPS_DIR to it.

Then run this command again. Details: build/configure.log
END
  } >&2
  exit 3
}

prepare() {
  use_deps
  if [ -z "${JOBS:-}" ]; then # a processor each, and about two gigabytes
    JOBS=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
    room=$(awk '/^MemAvailable/ { print int($2 / 1800000) }' /proc/meminfo 2>/dev/null || echo "$JOBS")
    if [ "${room:-$JOBS}" -lt "$JOBS" ]; then JOBS=$room; fi
    if [ "$JOBS" -lt 1 ]; then JOBS=1; fi
  fi
  if ready "$1"; then return 0; fi
  if [ "${ESPALIER_NO_INSTALL:-0}" = 1 ]; then
    if works "$1"; then return 0; fi
    advise
  fi
  if apt_as_root && ready "$1"; then return 0; fi
  if apt_without_root && ready "$1"; then return 0; fi
  if works "$1"; then return 0; fi
  if fetched "$1"; then return 0; fi
  advise
}
