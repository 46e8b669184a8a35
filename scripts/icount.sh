#!/usr/bin/env bash
# Instructions of the Router for each forwarded packet (benches/icount.rs under callgrind), held
# against benches/icount.txt: fails when a case has grown by more than 3 %.
#
#   scripts/icount.sh [--record]
#
#   --record   writes the file anew: when the growth is meant, or when there is less to do now
#
# valgrind shows every program the same processor (of those that have AVX2), so the numbers do not
# depend on the machine's;
# they do depend on the compiler, which the file names.
set -euo pipefail
cd "$(dirname "$0")/.."

record=benches/icount.txt
tolerance=3

[ "$(uname -m)" = x86_64 ] || { echo 'icount: only recorded for x86-64; skipped'; exit 0; }
command -v valgrind >/dev/null || { echo 'icount: valgrind is missing' >&2; exit 1; }

binary=$(cargo build --profile icount --bench icount --locked --message-format=json 2>/dev/null \
  | sed -n 's/.*"name":"icount".*"executable":"\([^"]*\)".*/\1/p' | tail -1)
[ -n "$binary" ] || { cargo build --profile icount --bench icount --locked; exit 1; }

# count CASE PACKETS: instructions for each packet, with one decimal.
count() {
  local log collected
  log=$(GLIBC_TUNABLES=glibc.cpu.x86_non_temporal_threshold=0x10000000 \
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
    --toggle-collect='icount::measured' "$binary" "$1" 2>&1) || { echo "$log" >&2; return 1; }
  collected=$(sed -n 's/.*Collected *: *\([0-9]*\).*/\1/p' <<<"$log")
  if [ "${collected:-0}" = 0 ]; then
    printf 'icount: nothing was counted\n%s\n' "$log" >&2
    return 1
  fi
  awk -v n="$collected" -v p="$2" 'BEGIN { printf "%.1f", n / p }'
}

new=$(mktemp)
trap 'rm -f "$new"' EXIT
{
  echo '# Instructions for each forwarded packet; made by scripts/icount.sh --record with'
  echo "# $(rustc --version)"
  "$binary" | while read -r name packets; do
    printf '%s %s\n' "$name" "$(count "$name" "$packets")"
  done
} >"$new"

if [ "${1:-}" = --record ]; then
  cp "$new" "$record"
  cat "$record"
  exit 0
fi
grep -v '^#' "$new" | awk -v tolerance="$tolerance" '
  FNR == NR { if ($1 !~ /^#/) recorded[$1] = $2; next }
  !($1 in recorded) { printf "%-10s %8.1f  not recorded\n", $1, $2; failed = 1; next }
  {
    change = 100 * ($2 - recorded[$1]) / recorded[$1]
    verdict = change > tolerance ? "MORE THAN ALLOWED" \
      : change < -tolerance ? "less: record it (scripts/icount.sh --record)" : "ok"
    printf "%-10s %8.1f  recorded %8.1f  %+6.2f %%  %s\n", $1, $2, recorded[$1], change, verdict
    if (change > tolerance) failed = 1
  }
  END { exit failed }' "$record" - || {
  echo 'icount: a packet costs more than recorded; if that is meant: scripts/icount.sh --record'
  exit 1
}
