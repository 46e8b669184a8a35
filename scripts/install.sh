#!/usr/bin/env bash
# Installs corinth on this host: program, configuration, user and service. Again: an upgrade, which
# leaves the configuration alone. As root; a folder before everything (DESTDIR) only gets the files.
#
#   scripts/install.sh [PROGRAM]      default: target/release/corinth
#   scripts/install.sh --uninstall    takes program, pages and service away, not the configuration
set -euo pipefail
cd "$(dirname "$0")/.."
root=${DESTDIR:-}
etc=$root/etc/corinth
unit=$root/etc/systemd/system/corinth.service
doc=$root/usr/share/doc/corinth
pages=("$root/usr/share/man/man1/corinth.1"
  "$root/usr/share/bash-completion/completions/corinth"
  "$root/usr/share/zsh/vendor-completions/_corinth"
  "$root/usr/share/fish/vendor_completions.d/corinth.fish")

die() { printf 'scripts/install.sh: %s\n' "$@" >&2; exit 1; }

# Does what only the real host has, not a folder before everything.
on_host() { [ -n "$root" ] || "$@"; }
systemd() { [ ! -d /run/systemd/system ] || systemctl "$@"; }

[ -n "$root" ] || [ "$(id -u)" = 0 ] || die "please run it as root"

if [ "${1:-}" = --uninstall ]; then
  [ ! -e "$unit" ] || on_host systemd disable --now corinth
  rm -f "$root/usr/bin/corinth" "$unit" "${pages[@]}"
  rm -rf "$doc" "$root/usr/share/corinth"
  on_host systemd daemon-reload
  echo "corinth is gone; its configuration is still in $etc"
  exit
fi

program=${1:-target/release/corinth}
[ -x "$program" ] || die "no program at $program: cargo build --release"
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
scripts/pages.sh "$(realpath "$program")" "$made"

create_user() {
  getent passwd corinth >/dev/null || useradd --system --user-group --no-create-home \
    --home-dir /nonexistent --shell /usr/sbin/nologin corinth
}
on_host create_user

install -D -m 755 "$program" "$root/usr/bin/corinth"
install -D -m 644 scripts/corinth.service "$unit"
install -D -m 755 scripts/tune-host.sh "$root/usr/share/corinth/tune-host.sh"
install -D -m 644 "$made/corinth.1" "${pages[0]}"
install -D -m 644 "$made/corinth.bash" "${pages[1]}"
install -D -m 644 "$made/_corinth" "${pages[2]}"
install -D -m 644 "$made/corinth.fish" "${pages[3]}"
install -D -m 644 -t "$doc/operating" docs/operating/*.md

install -d -m 750 "$etc"
if [ ! -e "$etc/token.key" ]; then
  (umask 027; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$etc/token.key")
fi
if [ ! -e "$etc/corinth.toml" ]; then
  cp "$made/corinth.toml" "$etc/corinth.toml"
  printf '\n# ---- Of this host\n\ntoken-key = ["main=/etc/corinth/token.key"]\n' \
    >> "$etc/corinth.toml"
fi
on_host chgrp -R corinth "$etc"
on_host "$root/usr/bin/corinth" config check "$etc/corinth.toml"
on_host systemd daemon-reload

if [ -z "$root" ] && [ -d /run/systemd/system ] && systemctl --quiet is-active corinth; then
  echo "corinth is installed; what runs is still what was there before. Then:"
  echo "  systemctl restart corinth     (waits for its calls: docs/operating/upgrade.md)"
  exit
fi
cat <<END
corinth is installed. Then:
  edit $etc/corinth.toml        (docs/operating/install.md: certificate, addresses, firewall)
  systemctl enable --now corinth
  corinth token --config $etc/corinth.toml --room ROOM
END
