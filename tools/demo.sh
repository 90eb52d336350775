#!/usr/bin/env bash
# demo.sh BUILD: captions the bundled clips with the bundled default model: captions on standard output;
# streams and times on standard error.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
shopt -s nullglob
clips=(examples/clips/*)
if [ ! -d models/toy ] || [ ${#clips[@]} -eq 0 ]; then
    echo "demo: models/toy or examples/clips is missing; make model trains the model" >&2
    exit 1
fi
"$build/earshot" caption --verbose -m models/toy "${clips[@]}"
cat >&2 <<'END'

The default model knows only the toy world that it was trained on (models/toy/README.md): it has no
words for real footage.  To caption your own videos, train a model on your own clips and captions:
    build/earshot train --config configs/small.json --data MANIFEST.jsonl --out DIR
    build/earshot caption -m DIR FILE...
END
