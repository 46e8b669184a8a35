#!/usr/bin/env bash
# Sets a host up for media: what `corinth doctor` asks for and a script can do. Without --apply it
# shows what it would change, and changes nothing.
#
#   scripts/tune-host.sh [OPTION…]            shows
#   scripts/tune-host.sh [OPTION…] --apply    does it (as root), and at each start of the host
#   scripts/tune-host.sh --undo               puts everything back as it was
#
#   --ports LIST      the server's ports, like 40000-40003: no other program is given them by
#                     chance, and the kernel does not track media as connections (nft)
#   --interface IF    its queues interrupt the cores of the shards, one each; a single queue spreads
#                     its packets over them (RPS). May be said more than once
#   --cores LIST      those cores, like 2-7 [default: all]
#
# Buffers, the backlog and the cores' governor are seen to always. TUNE_ROOT: a folder that stands
# for the host's /etc, /proc, /run, /sys, /usr and /var, for tests.
set -euo pipefail

root=${TUNE_ROOT:-}
# Bytes: a burst of a gigabit for 30 ms; and the same in packets.
buffers=4194304
backlog=4096
sysctls=$root/etc/sysctl.d/60-corinth.conf
unit=$root/etc/systemd/system/corinth-tune.service
copy=$root/usr/local/sbin/corinth-tune
# What was before, a line each: PATH|VALUE. What /etc/sysctl.d sets again is remembered for good;
# the rest is by itself as it was after a start of the host, so until then.
lasting=$root/var/lib/corinth-tune/before
passing=$root/run/corinth-tune/before

mode=show
ports=
cores=
interfaces=()

die() { printf 'tune-host.sh: %s\n' "$@" >&2; exit 1; }
usage() { sed -n '2,17s/^# \{0,1\}//p' "$0"; exit "$1"; }

# ---- What should be

# 0-2,5 as lines of numbers; and such lines, in order, as 0-2,5.
expand() { tr ',' '\n' <<< "$1" | awk -F- '/./ { for (i = $1; i <= $NF; i++) print i }'; }
collapse() {
  sort -nu | awk '
    function close_range() { list = list (list ? "," : "") (a == b ? a : a "-" b) }
    NR > 1 && $1 == b + 1 { b = $1; next }
    NR > 1 { close_range() }
    { a = b = $1 }
    END { if (NR) close_range(); print list }'
}

value() { cat "$1" 2>/dev/null || true; }

# The host's settings as they should be, a line each: PATH|VALUE.
wished() {
  local path interface card
  at_least rmem_max "$buffers"
  at_least wmem_max "$buffers"
  at_least netdev_max_backlog "$backlog"
  path=$root/proc/sys/net/ipv4/ip_local_reserved_ports
  if [ -n "$ports" ] && [ -e "$path" ]; then
    echo "$path|$( (expand "$(value "$path")"; expand "$ports") | collapse)"
  fi
  for path in "$root"/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
    [ ! -e "$path" ] || echo "$path|performance"
  done
  for interface in "${interfaces[@]}"; do
    for card in $(cards "$interface"); do queues "$card"; done
  done
}

# A larger value is somebody's wish.
at_least() {
  local path=$root/proc/sys/net/core/$1
  [ ! -e "$path" ] || [ "$(value "$path")" -ge "$2" ] || echo "$path|$2"
}

# The cards below an interface: bridges, bonds and VLANs have some below them.
cards() {
  local lower folder=$root/sys/class/net/$1
  [ ! -e "$folder/device" ] || echo "$1"
  for lower in "$folder"/lower_*; do
    [ ! -e "$lower" ] || cards "${lower##*/lower_}"
  done
}

# Where a card's packets should come in.
queues() {
  local card=$1 folder irq name list
  folder=$root/sys/class/net/$card
  list=("$folder"/queues/rx-*)
  if [ ${#list[@]} = 1 ]; then
    [ ! -e "${list[0]}/rps_cpus" ] || echo "${list[0]}/rps_cpus|$(mask)"
    return
  fi
  # A virtual card's interrupts are those of the device above it.
  local irqs=$folder/device/msi_irqs
  [ -d "$irqs" ] || irqs=$folder/device/../msi_irqs
  mapfile -t list < <(expand "$cores")
  for irq in "$irqs"/*; do
    irq=${irq##*/}
    # Named like virtio2-input.3, eth0-TxRx-3, mlx5_comp3@pci:…; without a number it is no queue's,
    # and neither is mlx5_async0@pci:….
    name=$(awk -v irq="$irq:" '$1 == irq { print $NF }' "$root/proc/interrupts")
    if [[ $name != *async* && ${name%@*} =~ [-._a-zA-Z]([0-9]+)$ ]]; then
      echo "$root/proc/irq/$irq/smp_affinity_list|${list[BASH_REMATCH[1] % ${#list[@]}]}"
    fi
  done
}

# The cores as the kernel writes masks: words of 32 bits in hexadecimal, the highest first.
mask() {
  local core words=() text=''
  for core in $(expand "$cores"); do
    while [ ${#words[@]} -le $((core / 32)) ]; do words+=(0); done
    words[core / 32]=$((words[core / 32] | 1 << core % 32))
  done
  for core in "${words[@]}"; do text=$(printf '%08x' "$core")${text:+,$text}; done
  echo "$text"
}

# Masks are padded as the kernel likes.
same() {
  case "$1" in
    */rps_cpus) [ "$(tr -d , <<< "$2" | sed 's/^0*//')" = "$(tr -d , <<< "$3" | sed 's/^0*//')" ] ;;
    *) [ "$2" = "$3" ] ;;
  esac
}

# Every setting that is not as it should be: PATH|NOW|WISHED.
wanted() {
  local path now wish
  wished | while IFS='|' read -r path wish; do
    now=$(value "$path")
    same "$path" "$now" "$wish" || echo "$path|$now|$wish"
  done
}

# The rules that keep media out of the kernel's table; the comment tells them from others.
rules() {
  cat <<END
table inet corinth {
  chain prerouting {
    type filter hook prerouting priority raw
    udp dport { $ports } notrack comment "media $ports"
  }
  chain output {
    type filter hook output priority raw
    udp sport { $ports } notrack comment "media $ports"
  }
}
END
}

tracks() { [ -n "$ports" ] && [ -e "$root/proc/sys/net/netfilter/nf_conntrack_max" ]; }
has() { command -v "$1" >/dev/null; }
ruled() { has nft && nft list table inet corinth 2>/dev/null; }
rules_wanted() { tracks && has nft && [[ $(ruled) != *"\"media $ports\""* ]]; }
rules_missed() { tracks && ! has nft; }
balanced() {
  [ ${#interfaces[@]} -gt 0 ] && has systemctl && systemctl is-active --quiet irqbalance 2>/dev/null
}
systemd() { [ -d "$root/run/systemd/system" ] && systemctl "$@"; }

# ---- What is done

show() {
  local found path now wish
  found=$(wanted)
  [ -z "$found" ] || while IFS='|' read -r path now wish; do
    echo "$path: ${now:-nothing}, should be $wish"
  done <<< "$found"
  ! rules_wanted || { echo "nft:"; rules; }
  ! rules_missed || echo "nft is missing, so media stays tracked: apt-get install nftables"
  ! balanced || echo "irqbalance, which moves interrupts, should not run"
  if [ -z "$found" ] && ! rules_wanted && ! rules_missed && ! balanced; then
    echo "everything is as it should be"
  else
    echo "--apply does it"
  fi
}

apply() {
  local path now wish found
  found=$(wanted)
  [ -z "$found" ] || while IFS='|' read -r path now wish; do
    if echo "$wish" 2>/dev/null > "$path"; then
      remember "$path" "$now"
      echo "$path: ${now:-nothing} -> $wish"
    else
      echo "$path: stays ${now:-nothing}, the kernel does not take $wish"
    fi
  done <<< "$found"
  if rules_wanted; then
    # What an earlier call has made is replaced, in one step.
    { printf 'table inet corinth\ndelete table inet corinth\n'; rules; } | nft -f -
    echo "nft: media is not tracked"
  fi
  ! rules_missed || echo "nft is missing, so media stays tracked: apt-get install nftables"
  if balanced; then
    remember irqbalance "$(systemctl is-enabled irqbalance || true)"
    systemctl disable --quiet --now irqbalance
    echo "irqbalance is stopped"
  fi
  keep
}

# The first value counts: who applies twice can still go back to the beginning.
remember() {
  local file=$passing
  [[ $1 != "$root"/proc/sys/* && $1 != irqbalance ]] || file=$lasting
  mkdir -p "$(dirname "$file")"
  grep -qsF "$1|" "$file" || echo "$1|$2" >> "$file"
}

# Sees to it that it is so after the next start of the host.
keep() {
  local path before name
  if [ -e "$lasting" ]; then
    mkdir -p "$(dirname "$sysctls")"
    echo "# By tune-host.sh of corinth." > "$sysctls"
    while IFS='|' read -r path before; do
      name=${path#"$root"/proc/sys/}
      [ "$path" = irqbalance ] || echo "${name//\//.} = $(value "$path")" >> "$sysctls"
    done < "$lasting"
    echo "$sysctls is written"
  fi
  if [ ! -d "$root/run/systemd/system" ]; then
    echo "there is no systemd: all but net.* has to be applied again after a start of the host"
    return
  fi
  [ "$0" -ef "$copy" ] || install -D -m 755 "$0" "$copy"
  mkdir -p "$(dirname "$unit")"
  cat > "$unit" <<END
# By tune-host.sh of corinth: what is lost as the host starts is applied again.
[Unit]
Description=The host as corinth wants it
After=network.target nftables.service
Before=corinth.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=${copy#"$root"} --apply$(options)

[Install]
WantedBy=multi-user.target
END
  systemd daemon-reload
  systemd enable --quiet corinth-tune
  echo "corinth-tune.service does it at each start of the host"
}

options() {
  [ -z "$ports" ] || printf ' --ports %s' "$ports"
  [ ${#interfaces[@]} = 0 ] || printf ' --interface %s' "${interfaces[@]}"
  [ -z "$given_cores" ] || printf ' --cores %s' "$given_cores"
}

undo() {
  local path before file undone=no
  if [ -e "$unit" ]; then
    systemd disable --quiet corinth-tune || true
    rm -f "$unit"
    systemd daemon-reload || true
  fi
  rm -f "$copy" "$sysctls"
  if [ -n "$(ruled)" ]; then
    nft delete table inet corinth
    echo "nft: the rules are gone"
    undone=yes
  fi
  for file in "$passing" "$lasting"; do
    [ -e "$file" ] || continue
    while IFS='|' read -r path before; do
      restore "$path" "$before"
    done < "$file"
    rm -rf "$(dirname "$file")"
    undone=yes
  done
  [ "$undone" = yes ] || echo "nothing to undo"
}

restore() {
  if [ "$1" = irqbalance ]; then
    [ "$2" != enabled ] || systemctl enable --quiet irqbalance
    systemctl start irqbalance
    echo "irqbalance runs again"
  elif echo "$2" 2>/dev/null > "$1"; then
    echo "$1: ${2:-nothing} again"
  else
    echo "$1: is gone, or does not take ${2:-nothing} any more"
  fi
}

# ---- What was said

numbers='^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$'
while [ $# -gt 0 ]; do
  case "$1" in
    --apply) mode=apply ;;
    --undo) mode=undo ;;
    --help | -h) usage 0 ;;
    --ports | --cores | --interface)
      [ $# -gt 1 ] || usage 2
      case "$1" in
        --interface) interfaces+=("$2") ;;
        --ports) [[ $2 =~ $numbers ]] || die "ports are like 40000-40003, not $2"; ports=$2 ;;
        --cores) [[ $2 =~ $numbers ]] || die "cores are like 2-7, not $2"; cores=$2 ;;
      esac
      shift
      ;;
    *) usage 2 ;;
  esac
  shift
done
for interface in "${interfaces[@]}"; do
  [[ $interface =~ ^[A-Za-z0-9._-]+$ && -e $root/sys/class/net/$interface ]] \
    || die "there is no interface $interface"
done
given_cores=$cores
cores=${cores:-$(value "$root/sys/devices/system/cpu/online")}
[ -z "$ports" ] || ports=$(expand "$ports" | collapse)
[ "$mode" = show ] || [ -n "$root" ] || [ "$(id -u)" = 0 ] || die "please run it as root"
"$mode"
