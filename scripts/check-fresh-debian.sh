#!/bin/sh
# SPDX-License-Identifier: MIT
# The two set-up commands on a machine that has nothing: ./test.sh and ./demo.sh, each to the end, from a clean clone inside
# a fresh Debian 12, as root, as a plain user who has only a compiler, and a second time without a network.
#   usage, as root, with debootstrap:  scripts/check-fresh-debian.sh [<work folder> [root|user|again]...]
# The mirror is this machine's.
set -eu
cd -- "$(dirname -- "$0")/.."
work=${1:-/tmp/espalier-fresh}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- root user again
mkdir -p "$work"

mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb \(\[[^]]*\] \)*\(http[^ ]*\).*/\2/p' | grep '/debian/*$' | head -1
}

if [ ! -e "$work/base/etc/debian_version" ]; then
  debootstrap --variant=minbase bookworm "$work/base.new" "$(mirror)" >"$work/debootstrap.log"
  mv "$work/base.new" "$work/base"
fi

mounted=""
finish() { for place in $mounted; do umount "$place" || true; done; }
trap finish EXIT

machine() { # machine <name>: a copy of the fresh system with a clean clone in a path with a space
  root=$work/$1
  rm -f "$work/$1-all.log"
  if [ -e "$root" ]; then rm -rf --one-file-system "$root"; fi
  cp -a "$work/base" "$root"
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  mkdir -p "$root/home/user"
  git clone -q . "$root/home/user/a clone"
}
start() { mount -t proc proc "$work/$1/proc"; mounted="$mounted $work/$1/proc"; }

inside() { # inside <name> <user> <command>: no terminal, another directory
  echo "== $1, as $2: $3"
  begun=$(date +%s)
  status=0
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/home/user LC_ALL=C.UTF-8 ${WITHOUT:-} \
    chroot --userspec="$2" "$work/$1" sh -c "cd / && $3" </dev/null >"$work/$1.log" 2>&1 || status=$?
  cat "$work/$1.log" >>"$work/$1-all.log"
  tail -n 12 "$work/$1.log"
  echo "== $1: exit status $status after $(($(date +%s) - begun)) s"
  if [ $status != 0 ]; then failed=$((failed + 1)); else passed=$((passed + 1)); fi
}

passed=0 failed=0
for what in "$@"; do
  case $what in
    root)
      machine root; start root
      inside root root "'/home/user/a clone/test.sh'"
      inside root root "'/home/user/a clone/demo.sh'" ;;
    user)
      machine user; start user
      chroot "$work/user" sh -c 'apt-get -qq update && apt-get -qq -y install --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*' \
        >"$work/user.log" 2>&1 </dev/null
      chroot "$work/user" useradd -u 4242 -d /home/user user
      chown -R 4242:4242 "$work/user/home/user"
      inside user 4242:4242 "'/home/user/a clone/test.sh'"
      inside user 4242:4242 "'/home/user/a clone/demo.sh'" ;;
    again) # in the same clone, cut off: nothing may be missing, nothing is to be built
      WITHOUT="unshare -n"
      for name in root user; do
        if [ -e "$work/$name/home/user" ]; then
          owner=$(stat -c %u:%g "$work/$name/home/user")
          inside "$name" "$owner" "ESPALIER_NO_INSTALL=1 '/home/user/a clone/demo.sh'"
        fi
      done
      WITHOUT="" ;;
  esac
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
