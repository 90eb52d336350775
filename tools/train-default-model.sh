#!/usr/bin/env bash
# train-default-model.sh BUILD: makes the toy world and trains the default model on it, from nothing.
# The result appears in out/default-model; models/toy holds the copy that is bundled.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
out=out/default-model
[ -f out/toyworld/train/manifest.jsonl ] ||
    "$build/earshot" toyworld --out out/toyworld/train --clips 4000 --seed 1
"$build/earshot" train --config configs/toy.json --data out/toyworld/train/manifest.jsonl --out "$out"
echo "trained: $out (to bundle it: cp the files into models/toy)" >&2
