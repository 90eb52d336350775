#!/usr/bin/env bash
# `earshot reproduce` in miniature: stopped in the middle of a training, killed while it runs on, and
# continued, it ends with the numbers of a run that was left alone; then nothing is left to do.
set -euo pipefail
program=$1
plan=tests/fixtures/reproduce/miniature.json
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$*"; cat "$folder"/log* 2>/dev/null; exit 1; }
command=("$program" reproduce --plan "$plan" --seeds 1 --jobs 2)

code=0; "$program" reproduce 2>"$folder/log" || code=$?
[ $code = 2 ] || fail "without --out: exit $code"
code=0; "$program" reproduce --out "$folder/x" --plan "$folder/none.json" 2>"$folder/log" || code=$?
[ $code = 1 ] || fail "a plan that is not there: exit $code"
[ "$("$program" reproduce --out "$folder/x" --list | wc -l)" -gt 1000 ] || fail "the built-in plan is small"

# Left alone.
out=$("${command[@]}" --out "$folder/a" 2>"$folder/log")
[ -z "$out" ] || fail "stdout is for results, and this command has none: $out"
for file in report.html report.json REPRODUCE.md reproduce-scores.png reproduce-losses.png reproduce-weights.png; do
    [ -s "$folder/a/$file" ] || fail "no $file"
done
"${command[@]}" --out "$folder/a" --list >"$folder/list"
[ "$(grep -c '^done ' "$folder/list")" = "$(wc -l <"$folder/list")" ] || fail "not everything is done"
! grep -qE 'src="(http|[a-z]*\.png)' "$folder/a/report.html" || fail "the page needs other files"

# Stopped while it pre-trains, as soon as the log has a step.
"${command[@]}" -q --out "$folder/b" 2>"$folder/log" &
pid=$!
training=$folder/b/jobs/s7.pcc_mbp.pretrain
until [ -s "$training/run/log.jsonl" ]; do
    kill -0 $pid 2>/dev/null || fail "ended before it could be stopped"
    sleep 0.02
done
kill -INT $pid
code=0; wait $pid || code=$?
[ $code = 130 ] || fail "interrupted: exit $code"
if [ ! -e "$training/done.json" ]; then # (it may have been at its last step)
    ls "$training/run/checkpoints" >/dev/null || fail "the training did not save"
fi
[ ! -e "$folder/b/report.html" ] || fail "a report of half of the work"

# Killed without a chance to clean up; its jobs end by themselves, and keep the folder until then.
"${command[@]}" -q --out "$folder/b" 2>"$folder/log" &
pid=$!
sleep 0.3
kill -KILL $pid 2>/dev/null || true
wait $pid 2>/dev/null || true
for _ in $(seq 300); do
    code=0; "${command[@]}" --out "$folder/b" 2>"$folder/log" || code=$?
    [ $code = 1 ] && grep -q "at work in this folder" "$folder/log" || break
    sleep 0.1
done
[ $code = 0 ] || fail "continued: exit $code"
# What took time differs between the two; the rest may not.
for run in a b; do
    sed -E '/"cpu_s"/,/\}/d; /"step clips_per_s"/,/^   \]/d' "$folder/$run/report.json" >"$folder/$run.json"
done
cmp "$folder/a.json" "$folder/b.json" || { diff "$folder/a.json" "$folder/b.json" | head -20; fail "stopping changed the numbers"; }

# Whoever starts the program may ignore the end of children; the program must see it all the same.
ignoring_children() { timeout -k 1 60 bash -c 'trap "" CHLD; exec "$@"' - "$@"; }
rm "$folder/b/jobs/s7.none.cook.av.cider/done.json"
ignoring_children "${command[@]}" -q --out "$folder/b" || fail "with SIGCHLD ignored: exit $?"

# Once more: nothing to do, and nothing is done.
touch "$folder/mark"
"${command[@]}" -q --out "$folder/b"
[ -z "$(find "$folder/b/jobs" -newer "$folder/mark" -type f)" ] || fail "something was done again"
