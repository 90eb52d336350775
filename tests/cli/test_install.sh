#!/usr/bin/env bash
# Installs to a fresh prefix, then builds and runs the example through pkg-config against the shared
# and the static library, and looks for everything else that an installation should hold.
set -euo pipefail
program=$1
build=$(dirname "$program")
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$build" --prefix "$prefix/first" >/dev/null
# The tree must also work from somewhere else than where it was installed.
mv "$prefix/first" "$prefix/moved"
prefix_now=$prefix/moved
for file in bin/earshot include/earshot.h share/man/man1/earshot.1; do
    [ -f "$prefix_now/$file" ] || { echo "not installed: $file"; exit 1; }
done
pc=$(find "$prefix_now" -name earshot.pc)
static=$(find "$prefix_now" -name libearshot.a)
shared=$(find "$prefix_now" -name libearshot.so)
[ -n "$pc" ] && [ -n "$static" ] && [ -n "$shared" ] || { echo "a library or earshot.pc is missing"; exit 1; }
"$prefix_now/bin/earshot" version >/dev/null
# A model for the example: two steps on two clips, made by the installed program.
"$prefix_now/bin/earshot" toyworld --out "$prefix/toy" --clips 2 --lossless -q
"$prefix_now/bin/earshot" train --data "$prefix/toy/manifest.jsonl" --out "$prefix/run" --steps 2 --batch_size 2 \
    --threads 1 -q
media=$(find "$prefix/toy/media" -type f | sort | head -n 1)

cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
cc=$(cached CMAKE_C_COMPILER)
read -r -a flags <<<"$(cached CMAKE_C_FLAGS) -std=c11 -Wall -Wextra -Werror"
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$pc")
read -r -a dynamic <<<"$(pkg-config --cflags --libs earshot)"
"$cc" "${flags[@]}" examples/caption.c "${dynamic[@]}" -o "$prefix/shared"
# Our library static, the system's shared: name the archive instead of -learshot.
read -r -a all <<<"$(pkg-config --cflags --libs --static earshot)"
"$cc" "${flags[@]}" examples/caption.c "${all[@]/#-learshot/$static}" -o "$prefix/static"

LD_LIBRARY_PATH=$(dirname "$shared") "$prefix/shared" "$prefix/run/model" "$media" 1 >"$prefix/shared.out"
"$prefix/static" "$prefix/run/model" "$media" 1 >"$prefix/static.out"
# Three windows, and the clip from memory; a file that is not there is an error with a word.
[ "$(grep -c 'seen and heard' "$prefix/static.out")" -eq 4 ] || { cat "$prefix/static.out"; exit 1; }
! "$prefix/static" "$prefix/run/model" /nonexistent 2>"$prefix/err" || exit 1
grep -q 'No such file' "$prefix/err"
cmp "$prefix/shared.out" "$prefix/static.out"
if ldd "$prefix/static" | grep libearshot; then
    exit 1
fi

# The shared library exports earshot_* and nothing else (sanitizers add theirs).
strange=$(nm -D --defined-only "$shared" | awk '$2 ~ /[TDBR]/ {print $3}' |
    grep -vE '^(earshot_|__asan|__ubsan|__odr_asan|_init$|_fini$)' || true)
[ -z "$strange" ] || { echo "exported by mistake: $strange"; exit 1; }
echo "installed tree works from another place, shared and static"
