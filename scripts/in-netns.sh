#!/usr/bin/env bash
# Runs a command in network and process namespaces of its own: 127.0.0.1, 10.9.0.1 (with a default
# route, without which Firefox finds no address), fd00:9::1 and nothing else. What the command
# started and forgot ends with it. Needs root, or a kernel that lets anyone make user namespaces.
#
#   scripts/in-netns.sh COMMAND [ARGUMENT…]
set -euo pipefail

[ $# -gt 0 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2; }
user=()
[ "$(id -u)" = 0 ] || user=(--user --map-root-user)

# The other end of the pair stays inside as well: nobody answers there, and nothing can leave.
# shellcheck disable=SC2016
exec unshare "${user[@]}" --net --pid --fork --kill-child --mount-proc -- bash -euo pipefail -c '
  ip link set lo up
  ip link add corinth0 type veth peer name corinth1
  ip address add 10.9.0.1/24 dev corinth0
  # A host without IPv6 goes without.
  ip address add fd00:9::1/64 dev corinth0 nodad || true
  ip link set corinth0 up
  ip link set corinth1 up
  ip route add default via 10.9.0.2
  ip -6 route add default via fd00:9::2 dev corinth0 || true
  # Not exec: as process 1 of its namespace this shell collects what others leave behind.
  "$@"
  exit' in-netns "$@"
