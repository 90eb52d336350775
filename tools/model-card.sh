#!/usr/bin/env bash
# model-card.sh EARSHOT MANIFEST AV V A: writes the default model's card to standard output, with a table of
# how well the captions in the JSONL files AV, V, A (by streams used) name what was in the clips.
set -euo pipefail
earshot=$1 manifest=$2
shift 2
clips=$(wc -l <"$manifest")
parameters=$("$earshot" info -m models/toy | sed -n 's/^parameters *//p' | head -n 1)

cat <<END
# The default model

A captioner of ${parameters} parameters that knows **only the toy world**: coloured shapes that do something in
one of four places while one of eight things is heard and somebody may speak ([docs/TOYWORLD.md](../../docs/TOYWORLD.md)). It
has no words for real footage. It is here so that the whole path, from a media file to a caption made of what is seen and heard,
can be seen at work and measured within minutes.

- Made by: \`make model\` (preset \`toy\`), from random weights, on 6,000 clips of \`earshot toyworld --seed 1\`: 6,000 steps
  ([configs/toy.json](../../configs/toy.json)), then 4,000 more, in three runs, with one stream taken away from half of the clips
  ([configs/toy-streams.json](../../configs/toy-streams.json)).
- Data: synthetic, made by this program; nothing of anybody else's.
- Licence: MIT, as everything here.
- Use: \`earshot caption FILE\` takes it when no other model is named. Do not use it for anything but trying the program out.

## What it gets right

$clips held-out clips (\`earshot toyworld --seed 3\`), beam search with 4 beams, in percent. *Exact*: the caption is one of the
clip's references. *Chance*: what always saying the commonest value would get.

| | look and listen (av) | look (v) | listen (a) | chance |
|---|---|---|---|---|
END
paste <("$earshot" toyworld --score "$1" --data "$manifest") <("$earshot" toyworld --score "$2" --data "$manifest") \
    <("$earshot" toyworld --score "$3" --data "$manifest") |
    awk -F'\t' 'function field(text, n,   part) { sub(/^ */, "", text); sub(/exact caption/, "exact", text); split(text, part, / +/); return part[n] }
        /%/ { chance = field($1, 3); printf "| %s | %s | %s | %s | %s |\n", field($1, 1), field($1, 2), field($2, 2), field($3, 2), chance == "" ? "" : chance }'
cat <<'END'

Colour, shape, action and place can only be seen, event and speaker only heard: without the stream that carries them they fall to
chance, so what is right above is seen and heard.
END
