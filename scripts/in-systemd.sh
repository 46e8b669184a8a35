#!/usr/bin/env bash
# Installs corinth on a copy of this host (an overlay in memory) and boots that copy's systemd, in
# namespaces of its own and with corinth alone in it; this host notices nothing. Runs until it is
# killed, or the process ends that has started it. Ends with 77 where that cannot be had: it needs
# root, systemd, overlayfs and a cgroup2 file system. What is left is the empty cgroup corinth-PID.
#
#   scripts/in-systemd.sh PROGRAM FOLDER
#
#   FOLDER   has corinth.toml, and corinth.conf: a drop-in for the unit
set -euo pipefail
[ $# = 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
here=$(realpath "$(dirname "$0")/..")
program=$(realpath "$1")
folder=$(realpath "$2")
apart=(unshare --pid --mount --uts --ipc --net --cgroup --fork --kill-child)

[ -x /lib/systemd/systemd ] && "${apart[@]}" true || exit 77
# A cgroup of its own, which in there is the root of all.
cgroup=$(findmnt --noheadings --first-only --output TARGET --types cgroup2)/corinth-$$ || exit 77
mkdir "$cgroup" || exit 77
echo $$ > "$cgroup/cgroup.procs"

# shellcheck disable=SC2016
exec setpriv --pdeathsig KILL "${apart[@]}" -- bash -Eeuo pipefail -c '
  here=$1 program=$2 folder=$3
  trap "exit 77" ERR
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/{upper,work,root}
  mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
  cd /mnt/root
  for at in run tmp srv; do mount -t tmpfs tmpfs $at; done
  mount -t tmpfs -o mode=755 tmpfs dev
  mkdir -p dev/shm dev/pts srv/corinth srv/program
  for device in null zero full random urandom tty; do
    touch dev/$device
    mount --bind /dev/$device dev/$device
  done
  mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
  ln -s pts/ptmx dev/ptmx
  mount -t proc proc proc
  mount -t sysfs -o ro sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount --bind "$here" srv/corinth
  mount --bind "$(dirname "$program")" srv/program
  ip link set lo up
  trap - ERR

  units=etc/systemd/system
  rm -rf etc/corinth $units
  mkdir -p etc/corinth $units/corinth.service.d
  cp "$folder/corinth.toml" etc/corinth/
  cp "$folder/corinth.conf" $units/corinth.service.d/
  chroot . /srv/corinth/scripts/install.sh "/srv/program/$(basename "$program")"
  # Nothing else of this host is started.
  for target in sysinit basic shutdown network-online; do
    printf "[Unit]\nDefaultDependencies=no\n" > $units/$target.target
  done
  mkdir run/old
  pivot_root . run/old
  umount --lazy /run/old
  exec env -i container=corinth SYSTEMD_UNIT_PATH=/$units PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=corinth.service --show-status=0
  ' in-systemd "$here" "$program" "$folder"
