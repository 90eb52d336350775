#!/usr/bin/env bash
# tools/run-tests must count what really happened: a hand-written ctest folder of programs that pass,
# fail, skip, crash, hang and never existed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

add() { printf '%s\n' "$2" >"$work/$1.sh"; echo "add_test(unit/$1 bash $work/$1.sh)" >>"$work/CTestTestfile.cmake"; }
count() { tools/run-tests "$work" >"$work/out" 2>&1 && status=0 || status=$?; tail -n 1 "$work/out"; }
expect()
{
    [ "$(count)" = "$1" ] || { echo "expected: $1"; cat "$work/out"; exit 1; }
    count >/dev/null
    [ "$status" -eq "$2" ] || { echo "exit $status, expected $2"; exit 1; }
}

add plain 'exit 0'
add cmocka 'echo "[ RUN      ] a"; echo "[       OK ] a"; echo "[ RUN      ] b"; echo "[       OK ] b"
echo "[==========] 2 test(s) run."; echo "[  PASSED  ] 2 test(s)."'
add sum 'echo "5 passed, 0 failed, 2 skipped"'
add skip 'echo "SKIP: no camera"; exit 77'
echo 'set_tests_properties(unit/skip PROPERTIES SKIP_RETURN_CODE 77)' >>"$work/CTestTestfile.cmake"
add some 'echo "[ RUN      ] c"; echo "SKIP: no moon"; echo "[  SKIPPED ] c"
echo "[  SKIPPED ] 1 test(s), listed below:"; echo "[  SKIPPED ] c"'
expect "8 passed, 0 failed, 4 skipped" 0
grep -q 'skipped: unit/skip: no camera' "$work/out"
grep -q 'skipped: unit/some c: no moon' "$work/out"

add fails 'echo "[ RUN      ] d"; echo "[  FAILED  ] d"; echo "[ RUN      ] e"; echo "[       OK ] e"
echo "[  FAILED  ] 1 test(s), listed below:"; echo "[  FAILED  ] d"; exit 1'
add crash 'echo "[ RUN      ] f"; echo "[       OK ] f"; echo "[ RUN      ] g"; kill -SEGV $$'
add silent 'exit 3'
add slow 'exec sleep 30'
echo 'set_tests_properties(unit/slow PROPERTIES TIMEOUT 1)' >>"$work/CTestTestfile.cmake"
echo 'add_test(unit/absent /nonexistent/program)' >>"$work/CTestTestfile.cmake"
expect "10 passed, 5 failed, 4 skipped" 1
for name in fails crash silent slow absent; do
    grep -qx "failed: unit/$name" "$work/out" || { echo "not named: $name"; exit 1; }
done

: >"$work/CTestTestfile.cmake"
expect "0 passed, 1 failed, 0 skipped" 1
echo "run-tests counts right"
