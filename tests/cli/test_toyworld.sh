#!/usr/bin/env bash
# `earshot toyworld`: files, nothing on stdout, exit codes, and an interrupted run taken up again.
set -euo pipefail
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$*"; exit 1; }

out=$("$program" toyworld --out "$folder/a" --clips 4 --seed 3 --threads 2 2>"$folder/log")
[ -z "$out" ] || fail "stdout is for results, and this command has none: $out"
[ "$(wc -l <"$folder/a/manifest.jsonl")" = 4 ] || fail "expected 4 lines"
[ "$(find "$folder/a/media" -type f | wc -l)" = 4 ] || fail "expected 4 files and nothing else"
[ "$(sed -n 6p "$folder/a/vocab.txt")" = "[CAPTION]" ] || fail "vocab.txt: task tokens"

code=0; "$program" toyworld 2>"$folder/log" || code=$?
[ $code = 2 ] || fail "without --out: exit $code"
code=0; "$program" toyworld --out "$folder/b" --world moon 2>"$folder/log" || code=$?
[ $code = 2 ] || fail "unknown world: exit $code"
code=0; "$program" toyworld --out "$folder/b" --cook.align 0.9 --world cook 2>"$folder/log" || code=$?
[ $code = 2 ] || fail "probabilities above 1: exit $code"
code=0; "$program" toyworld --out "$folder/a" --clips 4 --seed 4 2>"$folder/log" || code=$?
[ $code = 1 ] || fail "another seed in the same folder: exit $code"
grep -q world.json "$folder/log" || fail "the message does not say what differs"

# Stopped as soon as something is there; the number of clips is more than could be done by then.
"$program" toyworld -q --out "$folder/c" --clips 100000 --seed 3 2>"$folder/log" &
pid=$!
until [ -f "$folder/c/media/000003.mp4" ] || [ -f "$folder/c/media/000003.mkv" ]; do
    kill -0 $pid 2>/dev/null || fail "ended before it could be interrupted"
    sleep 0.05
done
kill -INT $pid
code=0; wait $pid || code=$?
[ $code = 130 ] || fail "interrupted: exit $code"
[ ! -e "$folder/c/manifest.jsonl" ] || fail "an unfinished corpus has a manifest"
"$program" toyworld -q --out "$folder/c" --clips 4 --seed 3
cmp "$folder/a/manifest.jsonl" "$folder/c/manifest.jsonl"
for file in "$folder"/a/media/*; do
    cmp "$file" "$folder/c/media/$(basename "$file")"
done
