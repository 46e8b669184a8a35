#!/usr/bin/env bash
# Installs what the tests need where it is missing and allowed, builds, and runs every test: Rust,
# the browser client's own, the protocol walked by npm protoo-client, calls between real browsers.
#
#   scripts/test.sh [--no-browsers] [--ci]
#
#   --no-browsers   leave out the calls (and do not ask for Chromium and Firefox)
#   --ci            nobody is there to type a password or to look at colours
#
# CHROMIUM_BIN and FIREFOX_BIN name browsers that are not where Debian puts them, CORINTH_BIN a
# server other than the one that is built here.
set -uo pipefail
cd "$(dirname "$0")/.."

NODE_MIN=20
browsers=yes
ci=no
for option in "$@"; do
  case "$option" in
    --no-browsers) browsers=no ;;
    --ci) ci=yes ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done
chromium=${CHROMIUM_BIN:-/usr/bin/chromium}
firefox=${FIREFOX_BIN:-/usr/bin/firefox-esr}
target=${CARGO_TARGET_DIR:-target}
export CORINTH_BIN=${CORINTH_BIN:-$(realpath -m "$target")/debug/corinth}
[ "$ci" = no ] || export CARGO_TERM_COLOR=never NO_COLOR=1

die() {
  printf 'scripts/test.sh: %s\n' "$@" >&2
  exit 1
}

# Prints how to run one command as root; fails where nobody may.
root() {
  if [ "$(id -u)" = 0 ]; then
    echo env DEBIAN_FRONTEND=noninteractive
  elif command -v sudo >/dev/null && { [ "$ci" = no ] || sudo -n true 2>/dev/null; }; then
    echo sudo env DEBIAN_FRONTEND=noninteractive
  else
    return 1
  fi
}

# install PACKAGE…: Debian packages, where this is Debian and we are allowed to.
install() {
  local as
  command -v apt-get >/dev/null || die "missing, and this is no Debian: $*. Please install them."
  as=$(root) || die "missing: $*. As root: apt-get install $*"
  printf 'installing %s\n' "$*"
  $as apt-get update -q && $as apt-get install -q -y --no-install-recommends "$@" \
    || die "apt-get could not install: $*"
}

tools() {
  local missing=() version
  command -v cargo >/dev/null || die "no cargo: see https://rustup.rs (1.95 or newer)"
  command -v cc >/dev/null || missing+=(gcc libc6-dev)
  [ "$(uname -m)" != x86_64 ] || command -v valgrind >/dev/null || missing+=(valgrind libc6-dbg)
  # A server to compare with, and what makes network namespaces.
  command -v janus >/dev/null || missing+=(janus)
  command -v ip >/dev/null || missing+=(iproute2)
  command -v unshare >/dev/null || missing+=(util-linux)
  PATH=$PATH:/usr/sbin command -v nft >/dev/null || missing+=(nftables)
  command -v node >/dev/null && command -v npm >/dev/null || missing+=(nodejs npm)
  command -v promtool >/dev/null || missing+=(prometheus)
  command -v systemd-analyze >/dev/null || missing+=(systemd)
  if [ "$browsers" = yes ]; then
    [ -x "$chromium" ] || missing+=(chromium)
    [ -x "$firefox" ] || missing+=(firefox-esr)
  fi
  [ ${#missing[@]} = 0 ] || install "${missing[@]}"
  version=$(node --version)
  version=${version#v}
  [ "${version%%.*}" -ge "$NODE_MIN" ] \
    || die "node $version is too old: $NODE_MIN or newer, from https://nodejs.org/en/download"
  if [ "$browsers" = yes ]; then
    [ -x "$chromium" ] || die "no Chromium at $chromium: CHROMIUM_BIN=… says where it is"
    [ -x "$firefox" ] || die "no Firefox at $firefox: FIREFOX_BIN=… says where it is"
  fi
}

# Where the server and its clients run: apart from everything, where the kernel lets us; Firefox
# then has an address that is not loopback. Elsewhere the machine itself has to have one.
place() {
  if scripts/in-netns.sh true 2>/dev/null; then
    apart=(scripts/in-netns.sh)
    echo "servers and clients run in a network namespace of their own"
  else
    apart=()
    echo "no network namespace to be had: servers and clients run on this machine's own addresses"
    [ "$browsers" = no ] || hostname -I 2>/dev/null | grep -q '[0-9]' \
      || die "Firefox needs an address that is not loopback, and this machine has none"
  fi
}

npm_ci() {
  (cd tests/interop && npm ci --ignore-scripts --no-audit --no-fund)
}

web_tests() {
  (cd web && npm test)
}

# node_tests FOLDER: its tests, one file after the other, for the cores are few.
node_tests() {
  "${apart[@]}" node --test --test-concurrency=1 --test-reporter=spec \
    tests/interop/"$1"/*.test.mjs
}

failed=()
# section NAME COMMAND…: runs it under a headline; a failure is remembered, the rest still runs.
section() {
  local name=$1 started=$SECONDS
  shift
  printf '\n==== %s\n' "$name"
  if "$@"; then
    printf '==== %s: ok (%d s)\n' "$name" $((SECONDS - started))
  else
    failed+=("$name")
    printf '==== %s: FAILED (%d s)\n' "$name" $((SECONDS - started))
    return 1
  fi
}

tools
place
section 'build' cargo test --workspace --locked --no-run || exit 1
section 'npm packages' npm_ci || exit 1
section 'cargo test' cargo test --workspace --locked
section 'the same over a ring' \
  env CORINTH_IO=ring cargo test --locked --test webrtc_rs --test shards
section 'instructions a packet' scripts/icount.sh
section 'web client' web_tests
section 'protocol, by protoo-client' node_tests protoo
[ "$browsers" = no ] || section 'calls, by browsers' node_tests calls

printf '\n'
if [ ${#failed[@]} = 0 ]; then
  printf 'scripts/test.sh: all passed in %d s\n' "$SECONDS"
else
  printf 'scripts/test.sh: FAILED in %d s:%s\n' "$SECONDS" "$(printf ' [%s]' "${failed[@]}")"
  exit 1
fi
