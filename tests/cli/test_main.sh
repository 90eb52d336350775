#!/usr/bin/env bash
# The program itself: help, unknown commands and flags, exit codes, results that cannot be written.
set -uo pipefail
earshot=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# expect EXIT OUT ERR ARGUMENTS...: exit code, and a pattern for each stream ("" = must be empty).
expect()
{
    local code=$1 out=$2 err=$3
    shift 3
    "$earshot" "$@" >"$work/out" 2>"$work/err" </dev/null
    local got=$?
    [ $got -eq "$code" ] || complain "exit $got, expected $code" "$@"
    matches "$work/out" "$out" || complain "stdout does not match '$out'" "$@"
    matches "$work/err" "$err" || complain "stderr does not match '$err'" "$@"
}
matches() { if [ -z "$2" ]; then [ ! -s "$1" ]; else grep -qE -e "$2" "$1"; fi; }
complain()
{
    local what=$1
    shift
    echo "earshot $*: $what"
    cat "$work/out" "$work/err" 2>/dev/null
    bad=1
}

expect 2 "" '^usage: earshot COMMAND'
expect 0 '^usage: earshot COMMAND' "" help
expect 0 '^usage: earshot COMMAND' "" --help
expect 0 '^usage: earshot COMMAND' "" -h
expect 0 '^earshot [0-9]+\.[0-9]+\.[0-9]+$' "" version
expect 0 '^earshot [0-9]' "" --version
expect 0 '^earshot [0-9]' "" -V
expect 0 '^usage: earshot version' "" help version
expect 2 "" "unknown command 'vresion'; did you mean 'version'\?" vresion
expect 2 "" "unknown command 'vresion'; did you mean 'version'\?" help vresion
expect 2 "" "unknown command 'xyzzy'; see earshot help" xyzzy
expect 2 "" "unknown command ''" ""
expect 2 "" "did you mean --help\? \(see earshot version --help\)" version --hepl
expect 2 "" "unexpected argument 'x'" version x
expect 2 "" "unknown option" version -z

# Every command listed: its help exits 0, says how it is used and writes nothing to stderr; a flag
# that it does not know exits 2.
for command in $("$earshot" help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    [ "$command" = help ] && continue
    expect 0 "^usage: earshot $command" "" "$command" --help
    expect 0 "^usage: earshot $command" "" help "$command"
    expect 2 "" "unknown option" "$command" --no-such-flag-exists
done

# Results that do not arrive are a failure, and said.
if [ -w /dev/full ]; then
    "$earshot" version >/dev/full 2>"$work/err"
    [ $? -eq 1 ] && grep -q "standard output: No space left" "$work/err" || complain "full disk" version
fi
# A reader that is gone before anything is written: bash opens the fifo's end, then lets it go.
mkfifo "$work/fifo"
exec 3<>"$work/fifo"
exec 4>"$work/fifo"
exec 5<"$work/fifo"
exec 3>&- 5<&-
"$earshot" version >&4 2>"$work/err"
[ $? -eq 1 ] && grep -q "standard output: Broken pipe" "$work/err" || complain "broken pipe" version
exec 4>&-
"$earshot" version >&- 2>"$work/err"
[ $? -eq 1 ] && grep -q "standard output: Bad file descriptor" "$work/err" || complain "closed stdout" version
"$earshot" nothing 2>&-
[ $? -eq 2 ] || complain "closed stderr" nothing

[ $bad -eq 0 ] && echo "the program's outside is as promised"
exit $bad
