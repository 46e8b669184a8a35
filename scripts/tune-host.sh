#!/usr/bin/env bash
# Sets a host up for media: receive buffers, and cores that keep their speed. Without an option it
# shows what it would change, and changes nothing. `corinth doctor` says what else there is.
#
#   scripts/tune-host.sh            shows
#   scripts/tune-host.sh --apply    does it (as root); the buffers stay so over a start of the host
#   scripts/tune-host.sh --undo     takes it back
#
# TUNE_ROOT: a folder that stands for the host's /etc, /proc, /sys and /var, for tests.
set -euo pipefail

root=${TUNE_ROOT:-}
buffers=4194304
sysctls=$root/etc/sysctl.d/60-corinth.conf
# What was before, a line each: PATH VALUE.
before=$root/var/lib/corinth-tune

die() { printf 'tune-host.sh: %s\n' "$@" >&2; exit 1; }

# Every setting that is not as it should be: PATH NOW WISHED.
wanted() {
  local name path
  for name in rmem_max wmem_max; do
    path=$root/proc/sys/net/core/$name
    if [ -r "$path" ] && [ "$(cat "$path")" -lt "$buffers" ]; then
      echo "$path $(cat "$path") $buffers"
    fi
  done
  for path in "$root"/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
    if [ -r "$path" ] && [ "$(cat "$path")" != performance ]; then
      echo "$path $(cat "$path") performance"
    fi
  done
}

apply() {
  local path now value
  mkdir -p "$(dirname "$before")" "$(dirname "$sysctls")"
  wanted | while read -r path now value; do
    # The first value counts: who applies twice can still go back to the beginning.
    grep -qs "^$path " "$before" || echo "$path $now" >> "$before"
    echo "$value" > "$path"
    echo "$path: $now -> $value"
  done
  printf '# By tune-host.sh of corinth.\nnet.core.rmem_max = %s\nnet.core.wmem_max = %s\n' \
    "$buffers" "$buffers" > "$sysctls"
  echo "$sysctls is written; governors have to be set again after a start of the host"
}

undo() {
  local path value
  rm -f "$sysctls"
  [ -e "$before" ] || { echo "nothing to undo"; return; }
  while read -r path value; do
    echo "$value" > "$path"
    echo "$path: $value again"
  done < "$before"
  rm -f "$before"
}

[ -z "${1:-}" ] || [ -n "$root" ] || [ "$(id -u)" = 0 ] || die "please run it as root"
case "${1:-}" in
  '')
    found=$(wanted)
    if [ -z "$found" ]; then
      echo "everything is as it should be"
    else
      echo "$found" | while read -r path now value; do echo "$path: $now, should be $value"; done
      echo "--apply does it"
    fi
    ;;
  --apply) apply ;;
  --undo) undo ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
