#!/usr/bin/env bash
# Makes what a package has beside the program: its page of the manual, completions, the example of
# its configuration. They all come from the program itself.
#
#   scripts/pages.sh [PROGRAM [FOLDER]]     default: target/release/corinth target/pages
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-target/release/corinth}
folder=${2:-target/pages}
[ -x "$program" ] || { echo "no program at $program: cargo build --release" >&2; exit 1; }
mkdir -p "$folder"
"$program" man > "$folder/corinth.1"
"$program" completions bash > "$folder/corinth.bash"
"$program" completions zsh > "$folder/_corinth"
"$program" completions fish > "$folder/corinth.fish"
"$program" config example > "$folder/corinth.toml"
