#!/usr/bin/env bash
# run-bench.sh BUILD [OPTION ...]: every benchmark of a build, as one CSV (bench/bench.h says what its
# columns are).  `small` and `base`, one clip and four; one thread and all threads.  The options go to
# kernels and stages: "-r 1" for one run of each instead of several.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
shift || true
BENCH_COMMIT=$(git describe --always --dirty 2>/dev/null || echo unknown)
export BENCH_COMMIT
header=
run() {
    "$@" | { IFS= read -r line && { [ "$header" ] || printf '%s\n' "$line"; }; cat; }
    header=printed
}
for threads in 1 0; do
    run "$build/bench/bench_kernels" -t $threads "$@"
    for preset in small base; do
        for batch in 1 4; do
            run "$build/bench/bench_stages" -t $threads -p $preset -b $batch -d "$build/bench/data" "$@"
        done
    done
done
run "$build/bench/bench_metrics"
