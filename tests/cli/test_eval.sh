#!/usr/bin/env bash
# earshot eval: layouts in, formats out, what is missing, records compared, hostile files, captions
# made on the spot.
set -uo pipefail
earshot=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1 EARSHOT_MODEL=
bad=0
fixtures=tests/fixtures/annotations

# expect EXIT OUT ERR ARGUMENTS...: exit code, and a pattern for each stream ("" = anything).
expect()
{
    local code=$1 out=$2 err=$3
    shift 3
    "$earshot" eval "$@" >"$work/out" 2>"$work/err" </dev/null
    local got=$?
    [ $got -eq "$code" ] || complain "exit $got, expected $code" "$@"
    grep -qE -e "$out" "$work/out" || [ -z "$out" ] || complain "stdout does not match '$out'" "$@"
    grep -qE -e "$err" "$work/err" || [ -z "$err" ] || complain "stderr does not match '$err'" "$@"
}
complain()
{
    local what=$1
    shift
    echo "earshot eval $*: $what"
    tail -n +1 "$work/out" "$work/err" | head -c 4000
    bad=1
}

cat >"$work/refs.json" <<'END'
{"a": ["a man is riding a horse", "someone rides a horse"], "b": ["a dog is barking"],
 "c": ["two people talk to each other", "people are talking"], "d": ["a bell rings"]}
END
cat >"$work/one.json" <<'END'
[{"image_id": "a", "caption": "A man rides a horse."}, {"image_id": "b", "caption": "a cat & <dog>"},
 {"image_id": "c", "caption": "two people are talking"}, {"image_id": "x", "caption": "nothing"}]
END
cat >"$work/two.jsonl" <<'END'
{"id": "a", "caption": "a man is riding a horse"}
{"id": "b", "caption": "a dog is barking"}
{"id": "c", "caption": ""}
END

expect 0 '^CIDEr +[0-9]' '3 of 4 scored' --results "$work/one.json" --refs "$work/refs.json"
grep -q 'METEOR' "$work/out" && complain "METEOR was not asked for"
expect 1 "" 'strict.*first is d' --results "$work/one.json" --refs "$work/refs.json" --strict
expect 0 '^METEOR_exact_stem +0\.' "" --results "$work/one.json" --refs "$work/refs.json" --metrics meteor-exact-stem
expect 1 "" 'wordnet-sense-index' --results "$work/one.json" --refs "$work/refs.json" --metrics meteor --meteor-data "$work"
expect 1 "" "unknown metric 'spice'" --results "$work/one.json" --refs "$work/refs.json" --metrics bleu,spice
expect 2 "" '--results FILE and --refs FILE' --refs "$work/refs.json"
expect 1 "" 'cannot open' --results "$work/none.json" --refs "$work/refs.json"
expect 0 '^metric,score' "" --results "$work/one.json" --refs "$work/refs.json" --format csv --per-item "$work/items.csv"
grep -q '^b,.*,a cat & <dog>$' "$work/items.csv" || complain "per-item CSV"

# records
expect 0 '"format": "earshot-scores-1"' "" --results "$work/one.json" --refs "$work/refs.json" --format json --metrics bleu,rouge,cider,meteor-exact-stem
cp "$work/out" "$work/A.json"
expect 0 "" 'empty captions' --results "$work/two.jsonl" --refs "$work/refs.json" --format json --metrics bleu,rouge,cider,meteor-exact-stem
cp "$work/out" "$work/B.json"
expect 0 '^CIDEr .*\[' "" --compare "$work/A.json" "$work/B.json" --samples 200
first=$(cat "$work/out")
expect 0 "" "" --compare "$work/A.json" "$work/B.json" --samples 200
[ "$first" = "$(cat "$work/out")" ] || complain "the same seed gave other intervals"
expect 0 '"Bleu_4": \{"a"' "" --compare "$work/A.json" "$work/B.json" --samples 50 --format json
head -1 "$work/two.jsonl" >"$work/part.jsonl"
expect 0 "" '1 of 4 scored' --results "$work/part.jsonl" --refs "$work/refs.json" --format json
cp "$work/out" "$work/C.json"
expect 1 "" 'over different items: 3 in .* 1 in .* 1 in both' --compare "$work/A.json" "$work/C.json"
expect 0 '1 items' "" --compare "$work/A.json" "$work/C.json" --different-ids --samples 20
expect 1 "" 'not a record of scores' --compare "$work/A.json" "$work/refs.json"
expect 1 "" 'line 1' --compare "$work/A.json" "$work/items.csv"
sed 's/"bleu_counts": \[[^]]*\]/"bleu_counts": [1, -5]/' "$work/A.json" >"$work/D.json"
expect 1 "" 'no bleu_counts' --compare "$work/D.json" "$work/A.json"
expect 2 "" 'two records' --compare "$work/A.json"
expect 2 "" 'nothing to score' --compare "$work/A.json" "$work/B.json" --refs "$work/refs.json"
cp "$work/one.json" "$work/caf"$'\xe9'".json"
expect 0 $'"file": "[^"]*caf\xef\xbf\xbd.json"' "" --results "$work/caf"$'\xe9'".json" --refs "$work/refs.json" --format json

# report
expect 0 '> a cat & <dog>' "" --results "$work/one.json" --refs "$work/refs.json" --worst 1 --html "$work/page.html"
grep -q 'a cat &amp; &lt;dog&gt;' "$work/page.html" || complain "the page must escape captions"
grep -qE 'src="http|href="http|<script' "$work/page.html" && complain "the page must be self-contained"

# duplicate ids, other encodings, nothing in common, standard input
echo '[{"image_id":"a","caption":"x"},{"image_id":"a","caption":"y"}]' >"$work/twice.json"
expect 1 "" 'id a has 2 captions' --results "$work/twice.json" --refs "$work/refs.json"
printf '{"a": "caf\xe9"}' >"$work/latin1.json"
expect 1 "" 'not UTF-8' --results "$work/latin1.json" --refs "$work/refs.json"
echo '{"q": "x"}' >"$work/other.json"
expect 1 "" "no id is in both files: the first is 'q'" --results "$work/other.json" --refs "$work/refs.json"
head -c 100 "$work/refs.json" >"$work/cut.json"
expect 1 "" 'cut short' --results "$work/one.json" --refs "$work/cut.json"

# every published layout against itself where it has one caption an item
expect 0 '^Bleu_4' '8 of 8 scored' --results $fixtures/coco_results.json --refs $fixtures/coco.json
expect 0 '^ROUGE_L +1\.0' 'scored' --results $fixtures/youcook2.json --refs $fixtures/youcook2.json --split val
expect 0 '^ROUGE_L +1\.0' 'scored' --results $fixtures/activitynet.json --refs $fixtures/activitynet.json
expect 0 '^ROUGE_L +1\.0' 'scored' --results $fixtures/densevid.json --refs $fixtures/densevid.json
expect 1 "" 'has 12 captions' --results $fixtures/msrvtt.json --refs $fixtures/msrvtt.json --split val

# lines of `earshot caption`: named by media file, as given or beside the references
mkdir "$work/set"
cat >"$work/set/manifest.jsonl" <<'END'
{"id": "one", "video": "media/1.mp4", "captions": ["a bell rings", "a bell is ringing"]}
{"id": "two", "video": "media/2.mp4", "captions": ["a dog barks"]}
END
printf '{"file": "%s/set/media/1.mp4", "start": 0, "end": 2.5, "caption": "a bell rings"}\n{"file": "media/2.mp4", "caption": "a dog barks"}\n' "$work" >"$work/lines.jsonl"
expect 0 '^ROUGE_L +1\.0' '2 of 2 scored' --results "$work/lines.jsonl" --refs "$work/set/manifest.jsonl"
sed -i 's/2\.mp4/1.mp4/' "$work/set/manifest.jsonl"
expect 1 "" 'several references' --results "$work/lines.jsonl" --refs "$work/set/manifest.jsonl"

# a model's captions, made on the spot, score as those that `earshot caption` writes
"$earshot" toyworld --out "$work/toy" --clips 4 --clip_s 2.5 --size 48 -q || exit 1
"$earshot" train --data "$work/toy/manifest.jsonl" --out "$work/run" --steps 2 --batch_size 2 \
    --decoder.max_length 8 --threads 1 -q || exit 1
manifest=$work/toy/manifest.jsonl
model=(-m "$work/run" --data "$manifest" --threads 1 --min_tokens 2)
"$earshot" caption "${model[@]}" --streams a --beam 2 -q -o "$work/captions.jsonl" || bad=1
expect 0 '' '4 of 4 scored' --results "$work/captions.jsonl" --refs "$manifest" --format json
grep -E '"scores"|"sha256"' "$work/out" | sed 's/"file": "[^"]*", "layout": "[^"]*"//' >"$work/expected"
expect 0 '' '4 of 4 scored' "${model[@]}" --streams a --beam 2 --strict --format json
grep -E '"scores"|"sha256"' "$work/out" | sed 's/"file": "[^"]*", "layout": "[^"]*"//' |
    cmp -s - "$work/expected" || complain "other scores than with --results"
grep -qF "\"weights_sha256\": \"$(sha256sum <"$work/run/model/model.safetensors" | cut -c 1-64)\"" "$work/out" ||
    complain "weights_sha256"
grep -qF '"decoding": {"streams": "a", "video_stream": -1, "audio_stream": -1, "method": "beam", "beam": 2, "length_penalty": 1.0, "max_tokens": 8, "min_tokens": 2, "no_repeat_ngram": 0}' "$work/out" ||
    complain "decoding"
grep -qF "\"results\": {\"file\": \"$work/run/model\", \"layout\": \"model\", \"items\": 4" "$work/out" || complain "results"
cp "$work/out" "$work/A.json"
expect 0 '"method": "greedy", "max_tokens": 5, ' "" "${model[@]}" --method greedy --beam 3 --max_tokens 5 --format json
grep -q '"beam"' "$work/out" && complain "greedy search has no beam"
cp "$work/out" "$work/B.json"
expect 0 '^CIDEr .*\[' "" --compare "$work/A.json" "$work/B.json" --samples 20

# other references; clips without one are not captioned; a clip that fails counts as missing
id=$(sed -n '2s/^{"id":"\([^"]*\)".*/\1/p' "$manifest")
printf '{"%s": ["a bell rings"], "elsewhere": "x"}' "$id" >"$work/other.json"
expect 0 '^CIDEr' '1 of 2 scored' "${model[@]}" --refs "$work/other.json"
grep -q '3 results have no reference' "$work/err" || complain "the clips that were left out"
expect 1 '' 'strict: 1 references .* 3 clips have no reference' "${model[@]}" --refs "$work/other.json" --strict
expect 1 '' 'no clip of .* has a reference' "${model[@]}" --refs "$work/refs.json"
sed '3s/"id"/"split": "val", "id"/; 4s/"id"/"split": "val", "id"/' "$manifest" >"$work/toy/split.jsonl"
model[3]=$work/toy/split.jsonl
expect 0 '^CIDEr' '2 of 2 scored' "${model[@]}" --split val --strict
sed -i '4s/"video":"[^"]*"/"video":"manifest.jsonl"/' "$work/toy/split.jsonl"
expect 3 '"scored": 3,' '1 clips could not be captioned' "${model[@]}" --format json
grep -q '"without_result": 1,' "$work/out" || complain "a clip that failed has no result"
expect 1 '' 'strict: 1 references have no result, the first' "${model[@]}" --strict
sed -i '1,3d' "$work/toy/split.jsonl"
expect 1 '' 'none of the 1 clips' "${model[@]}"

# wrong use; what is missing is said before the model begins
expect 2 '' 'not both' "${model[@]}" --results "$work/one.json"
expect 2 '' 'the clips of --data' -m "$work/run" --results "$work/one.json" --refs "$work/refs.json"
expect 1 '' 'no model there' -m "$work/nowhere" --data "$manifest"
expect 1 '' 'captions of 9 tokens' -m "$work/run" --data "$manifest" --max_tokens 9
expect 1 '' 'wordnet-sense-index' -m "$work/nowhere" --data "$manifest" --metrics meteor --meteor-data "$work"

# interrupted while it captions: the first of the clips is a pipe that never says anything
mkfifo "$work/toy/fifo"
sed '1s/"video":"[^"]*"/"video":"fifo"/' "$manifest" >"$work/toy/pipe.jsonl"
model[3]=$work/toy/pipe.jsonl
"$earshot" eval "${model[@]}" >"$work/out" 2>"$work/err" &
process=$!
exec 3>"$work/toy/fifo" # opens when the program has begun to read
kill -INT $process
wait $process
[ $? -eq 130 ] || complain "interrupted: 130"
[ -s "$work/out" ] && complain "interrupted: no scores"
exec 3>&-
exit $bad
