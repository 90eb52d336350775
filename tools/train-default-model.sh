#!/usr/bin/env bash
# train-default-model.sh BUILD: makes the toy world, trains the default model on it from nothing, and
# measures it on clips of another seed.  Everything appears in out/; a finished step is not done again,
# so an interrupted run continues.  models/toy gets the model and its card, examples/clips four of the
# measured clips.
set -euo pipefail
cd "$(dirname "$0")/.."
earshot=${1:-build}/earshot
world=out/toyworld
run=out/default-model
card=models/toy/README.md

"$earshot" toyworld --out $world/train --clips 6000 --seed 1
"$earshot" toyworld --out $world/validation --clips 200 --seed 2
"$earshot" toyworld --out $world/held-out --clips 400 --seed 3

start=$(date +%s)
[ -f $run/model/config.json ] || "$earshot" train --config configs/toy.json --data $world/train/manifest.jsonl \
    --validation $world/validation/manifest.jsonl --out $run --resume
echo "trained in $((($(date +%s) - start) / 60)) minutes" >&2

mkdir -p models/toy examples/clips
cp $run/model/{config.json,model.safetensors,vocab.txt} models/toy/
for i in 0 1 2 3; do
    cp "$world/held-out/media/00000$i.mp4" "examples/clips/toy-$i.mp4"
done

for streams in av v a; do
    "$earshot" caption -m models/toy --streams $streams --data $world/held-out/manifest.jsonl --format jsonl \
        --output out/captions-$streams.jsonl
done
tools/model-card.sh "$earshot" $world/held-out/manifest.jsonl out/captions-{av,v,a}.jsonl >$card.partial
mv $card.partial $card
cat $card
