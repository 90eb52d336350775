#!/usr/bin/env bash
# train-default-model.sh BUILD: makes the toy world, trains the default model on it from nothing, and
# measures it on clips of another seed.  Four runs: the first learns to caption, three more go on with one
# stream taken away from half of the clips, so that the model also does well when it only looks or only
# listens (the learning rate starts anew in each: SGDR, Loshchilov & Hutter, ICLR 2017).  Everything appears in out/; a finished step is not done again, so an interrupted run
# continues.  models/toy gets the model and its card, examples/clips four of the measured clips.
set -euo pipefail
cd "$(dirname "$0")/.."
earshot=${1:-build}/earshot
world=out/toyworld
run=out/default-model
card=models/toy/README.md

"$earshot" toyworld --out $world/train --clips 6000 --seed 1
"$earshot" toyworld --out $world/validation --clips 200 --seed 2
"$earshot" toyworld --out $world/held-out --clips 400 --seed 3

learn()
{
    [ -f "$2/model/config.json" ] || "$earshot" train --config "$1" --data $world/train/manifest.jsonl \
        --validation $world/validation/manifest.jsonl --out "$2" --resume "${@:3}"
}
start=$(date +%s)
learn configs/toy.json $run/captions
learn configs/toy-streams.json $run/streams-1 --init $run/captions/model --seed 2
learn configs/toy-streams.json $run/streams-2 --init $run/streams-1/model --seed 3
learn configs/toy-streams.json $run/streams-3 --init $run/streams-2/model --seed 4 --steps 1000
echo "trained in $((($(date +%s) - start) / 60)) minutes" >&2

mkdir -p models/toy examples/clips
cp $run/streams-3/model/{config.json,model.safetensors,vocab.txt} models/toy/
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
