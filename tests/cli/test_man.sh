#!/usr/bin/env bash
# docs/earshot.1 names every command, and every flag that `earshot caption --help` lists.
set -euo pipefail
earshot=$1
# The page with roff's "\-" and font changes taken out, so that a flag reads as it is typed.
page=$(sed -E 's/\\-/-/g; s/\\f[BIRP]//g' docs/earshot.1)
missing=0
need()
{
    grep -qE -e "(^|[^a-z-])$1([^a-z_.-]|$)" <<<"$page" || { echo "docs/earshot.1 does not mention $2"; missing=1; }
}
commands=$("$earshot" help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ -n "$commands" ]
for command in $commands; do
    need "$command" "the command $command"
done
for flag in $("$earshot" version --help | grep -oE -e '^ +(-[a-z], )?--[a-z_.-]+' | sed 's/.*--/--/'); do
    need "$flag" "$flag"
done
if grep -qx caption <<<"$commands"; then
    for flag in $("$earshot" caption --help | grep -oE -e '^ +(-[a-zA-Z], )?--[a-zA-Z_.-]+' | sed 's/.*--/--/'); do
        need "$flag" "caption $flag"
    done
fi
exit $missing
