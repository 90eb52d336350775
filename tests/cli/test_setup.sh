#!/usr/bin/env bash
# tools/setup.sh against a pretended machine: a PATH that holds only stand-ins for the commands it asks.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
setup=$PWD/tools/setup.sh
bash=$(command -v bash)
log=$work/log

# stand_in NAME BODY: a command on the pretended machine.
stand_in() { printf '#!%s\n%s\n' "$bash" "$2" >"$work/bin/$1"; chmod +x "$work/bin/$1"; }
fresh_machine()
{
    rm -rf "$work/bin" "$log"
    mkdir "$work/bin"
    : >"$log"
    mkdir -p "$work/root/usr/share/wordnet"
    touch "$work/root/usr/share/wordnet/index.sense" "$work/root/usr/share/wordnet/noun.exc"
    for tool in tr env bash; do ln -s "$(command -v $tool)" "$work/bin/$tool"; done
    for tool in cmake ninja; do stand_in "$tool" 'exit 0'; done
    stand_in cc 'exit 0'
    stand_in pkg-config 'exit 0'
    stand_in dpkg-query 'exit 1'
    stand_in apt-cache 'exit 0'
    stand_in apt-get "echo \"apt-get \$*\" >>$log"
    stand_in sudo "echo sudo >>$log; exec \"\$@\""
    stand_in id 'echo 0'
}
run() { SETUP_ROOT=$work/root PATH=$work/bin "$bash" "$setup" >"$work/out" 2>&1; }
fail() { echo "$1"; cat "$work/out" "$log"; exit 1; }

fresh_machine
run || fail "everything is there: must succeed"
[ ! -s "$work/out" ] && [ ! -s "$log" ] || fail "everything is there: must do and say nothing"

fresh_machine
stand_in pkg-config '[ "$2" != jansson ]'
run || fail "one library missing: must install it"
grep -q 'libjansson-dev *JSON' "$work/out" || fail "must say what and why"
grep -qx 'apt-get install -y --no-install-recommends libjansson-dev' "$log" || fail "installs only what is missing"
! grep -qE 'update|sudo' "$log" || fail "no update and no sudo asked for"

fresh_machine
stand_in pkg-config '[ "$2" != jansson ]'
stand_in apt-cache 'exit 100'
run || fail "no package lists: must update first"
[ "$(head -n 1 "$log")" = "apt-get update" ] || fail "update comes first"
grep -q 'install .*libjansson-dev' "$log" || fail "then installs"

fresh_machine
rm "$work/bin/cc" "$work/bin/pkg-config" "$work/root/usr/share/wordnet/index.sense"
stand_in id 'echo 1000'
run || fail "bare machine, ordinary user"
grep -qx sudo "$log" || fail "uses sudo when not root"
for package in gcc libc6-dev pkg-config libavformat-dev libdnnl-dev libstemmer-dev libcmocka-dev wordnet-sense-index; do
    grep -q "install .*\<$package\>" "$log" || fail "must install $package"
done
! grep -q 'install .*\<cmake\>' "$log" || fail "cmake is there already"

fresh_machine
rm "$work/bin/cmake" "$work/bin/sudo"
stand_in id 'echo 1000'
! run || fail "no sudo: must stop"
grep -q 'apt-get install cmake' "$work/out" || fail "no sudo: says what root should run"

fresh_machine
rm "$work/bin/cmake" "$work/bin/apt-get"
! run || fail "no apt-get: must stop"
grep -q 'cmake .*build system' "$work/out" && grep -q 'no apt-get' "$work/out" || fail "no apt-get: prints the list"

fresh_machine
rm "$work/bin/cmake"
stand_in apt-get 'exit 100'
! run || fail "a failing apt-get is a failure"
echo "setup.sh: 7 machines"
