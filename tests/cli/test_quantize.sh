#!/usr/bin/env bash
# earshot quantize: smaller models that caption as before; what they are told to be; what they refuse.
. tests/cli/support.sh

run 0 toyworld --out "$work/clips" --clips 3 --seed 77
run 0 caption examples/clips/toy-0.mp4 examples/clips/toy-1.mp4
cp "$work/out" "$work/f32"
for type in bf16 int8; do
    run 0 quantize --to $type --out "$work/$type" --check "$work/clips/manifest.jsonl" --threads 1
    out_has "$work/$type: [0-9]+ of [0-9]+ parameters are $type; [0-9.]+ MB instead of [0-9.]+ MB"
    out_has '^CIDEr-D of 3 clips'
    out_has "^  $type  .* \([+-][0-9.]+\)"
    out_has '^logits at [0-9]+ places of 3 captions'
    out_has 'largest difference +[0-9.]'
    run 0 caption -m "$work/$type" examples/clips/toy-0.mp4 examples/clips/toy-1.mp4
    cmp -s "$work/f32" "$work/out" || complain "$type captions differ"
    run 0 info -m "$work/$type"
    out_has "weights of products in $type"
    run 0 info -m "$work/$type" --format json
    out_has "\"type\": \"$type\""
done
run 0 info --format json
out_has '"type": "f32"'
out_has '"parameter_bytes": 6[0-9]{6}'
size() { stat -c %s "$1/model.safetensors"; }
[ $(($(size "$work/bf16") * 10)) -lt $(($(size models/toy) * 6)) ] || complain "bf16 is too large"
[ $(($(size "$work/int8") * 10)) -lt $(($(size models/toy) * 4)) ] || complain "int8 is too large"
cmp -s models/toy/vocab.txt "$work/int8/vocab.txt" || complain "another vocabulary"

run 0 quantize -m toy --to int8 --out "$work/again" --format json
out_has '"lowered": [0-9]'
out_has '"check": null'
cmp -s "$work/again/model.safetensors" "$work/int8/model.safetensors" || complain "not the same bytes again"

run 1 quantize -m "$work/int8" --to bf16 --out "$work/twice"
err_has 'only a model in F32 can be quantized'
[ ! -e "$work/twice" ] || complain "something was written"
run 1 quantize -m "$work/bf16" --to bf16 --out "$work/bf16"
run 1 export -m "$work/bf16" --audio "$work/audio.safetensors"
err_has 'quantized'
run 1 train --data "$work/clips/manifest.jsonl" --out "$work/run" --init "$work/int8" --steps 1
err_has 'quantized model can be run, but not trained'
run 1 quantize --to int8 --out "$work/x" --check "$work/none.jsonl"
err_has 'none.jsonl'
run 2 quantize --to int8
err_has '--out is needed'
run 2 quantize --to int4 --out "$work/x"
run 2 quantize models/toy --out "$work/x"
err_has 'named with -m'
exit $bad
