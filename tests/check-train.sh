#!/bin/sh
# `motley train` and `motley generate` as a user runs them: what they write, stopping on SIGTERM, going on, text that a
# seed repeats, and one line with the mend for what is wrong.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
here=$(cd "$(dirname "$0")" && pwd)
motley=$BUILD_DIR/motley
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
sh "$here/run-mpi" 1 true || exit $?

cat "$here"/*.sh "$here"/run* >"$work/text"
sizes="--width 16 --layers 1 --heads 2 --hidden 16 --experts 3 --sequence 32 --batch 3 --held-out 320"

fail() {
    cat "$work/log" "$work/out" 2>/dev/null
    echo "FAILED: $1"
    exit 1
}

# run RANKS COMMAND [OPTION...]: standard output to out, the rest to log.
run() {
    ranks=$1
    shift
    sh "$here/run-mpi" "$ranks" "$motley" "$@" >"$work/out" 2>"$work/log"
}

# refused RANKS WORDS COMMAND [OPTION...]: must fail within 30 s, saying so in one line.
refused() {
    ranks=$1 words=$2
    shift 2
    MOTLEY_TEST_SECONDS=30 run "$ranks" "$@"
    status=$?
    [ $status != 0 ] && [ $status != 124 ] || fail "'$*' ended with $status"
    [ "$(grep -c "^motley $1: " "$work/log")" = 1 ] && grep "^motley $1: " "$work/log" | grep -q -- "$words" ||
        fail "'$*' does not say '$words' once"
}

echo "== a run, what it says and what it leaves"
run 2 train --text "$work/text" --output "$work/a" --steps 6 --eval-every 3 --save-every 2 $sizes || fail "train"
for word in GFLOP/s "stored as f32" "bits per byte" bigram "Witten-Bell" "step      6" checkpoint-6 "held out"; do
    grep -q -- "$word" "$work/out" || fail "train does not say '$word'"
done
[ "$(ls "$work/a" | tr '\n' ' ')" = "checkpoint-4 checkpoint-6 loss.csv loss.svg " ] || fail "other files than expected"
[ "$(wc -l <"$work/a/loss.csv")" = 7 ] || fail "loss.csv has not a line for each step"
grep -q "</svg>" "$work/a/loss.svg" || fail "loss.svg"

echo "== the numbers as JSON"
run 2 train --text "$work/text" --output "$work/json" --steps 2 --json $sizes || fail "train --json"
"$motley" --version >/dev/null && grep -q '"held_out_bits": [0-9]' "$work/out" &&
    grep -q '"stopped": false' "$work/out" ||
    fail "JSON"

echo "== more ranks than experts"
run 4 train --text "$work/text" --output "$work/wide" --steps 2 $sizes || fail "train on more ranks than experts"

echo "== text repeats by its seed, from the output and from a checkpoint, at any number of ranks"
run 2 generate --model "$work/a" --prompt "if " --max-tokens 60 --seed 3 || fail "generate"
cp "$work/out" "$work/first"
[ "$(wc -c <"$work/first")" = 64 ] || fail "generate did not write 60 bytes behind the prompt"
run 2 generate --model "$work/a/checkpoint-6" --prompt "if " --max-tokens 60 --seed 3 ||
    fail "generate from a checkpoint"
cmp "$work/out" "$work/first" || fail "the same seed gave other text"
run 2 generate --model "$work/a" --prompt "if " --max-tokens 60 --seed 4 || fail "generate"
! cmp -s "$work/out" "$work/first" || fail "another seed gave the same text"
run 1 generate --model "$work/a" --prompt "if " --max-tokens 60 --temperature 0 || fail "generate at 1 rank"
cp "$work/out" "$work/first"
run 3 generate --model "$work/a" --prompt "if " --max-tokens 60 --temperature 0 || fail "generate at 3 ranks"
cmp "$work/out" "$work/first" || fail "the likeliest text depends on the ranks"

echo "== weights of two bytes: a resumed run is that of one go, f32 goes on from it, f16 has no training"
run 2 train --text "$work/text" --output "$work/two" --steps 6 --save-every 3 --dtype bf16 $sizes ||
    fail "train in bf16"
grep -q "stored as bf16 with an f32 master" "$work/out" || fail "train does not say that it stores bf16"
cp -r "$work/two" "$work/half"
rm -r "$work/half/checkpoint-6"
cp -r "$work/half" "$work/four"
run 2 train --output "$work/half" --resume || fail "going on in bf16"
grep -q "stored as bf16" "$work/out" || fail "a resumed run forgot its storage type"
for file in model optimizer; do
    cmp "$work/two/checkpoint-6/$file.safetensors" "$work/half/checkpoint-6/$file.safetensors" ||
        fail "bf16 is not bit for bit"
done
run 2 train --output "$work/four" --resume --dtype f32 || fail "going on in f32 from bf16"
grep -q "stored as f32" "$work/out" && grep -q "planned anew" "$work/out" || fail "it did not go on in f32"
for dtype in f32 bf16; do
    run 2 generate --model "$work/two" --prompt "if " --max-tokens 20 --dtype $dtype || fail "generate in $dtype"
    [ "$(wc -c <"$work/out")" = 24 ] || fail "generate in $dtype did not write 20 bytes"
done

echo "== other gates: learnt, gone on with, written with"
run 2 train --text "$work/text" --output "$work/gate" --steps 6 --save-every 3 --gate sigmoid --weigh before $sizes ||
    fail "train with a sigmoid gate"
grep -q "a sigmoid gate" "$work/out" || fail "train does not say that its gate is a sigmoid"
grep -q '"motley_gate": "sigmoid"' "$work/gate/checkpoint-6/config.json" || fail "config.json does not name the gate"
cp -r "$work/gate" "$work/half-gate"
rm -r "$work/half-gate/checkpoint-6"
run 2 train --output "$work/half-gate" --resume || fail "going on with a sigmoid gate"
cmp "$work/gate/checkpoint-6/model.safetensors" "$work/half-gate/checkpoint-6/model.safetensors" ||
    fail "a resumed sigmoid gate is not bit for bit"
run 1 generate --model "$work/gate" --prompt "if " --max-tokens 20 || fail "generate with a sigmoid gate"
[ "$(wc -c <"$work/out")" = 24 ] || fail "generate with a sigmoid gate did not write 20 bytes"
refused 2 "cannot be changed to cosine" train --output "$work/gate" --resume --gate cosine

echo "== SIGTERM to one rank: all save and stop"
setsid sh "$here/run-mpi" 2 "$motley" train --text "$work/text" --output "$work/term" --steps 100000 --save-every 0 \
    --eval-every 0 $sizes >"$work/out" 2>"$work/log" &
group=$!
while [ "$(cat "$work/term/loss.csv" 2>/dev/null | wc -l)" -lt 3 ]; do
    kill -0 $group 2>/dev/null || fail "the run ended before it was told to"
    sleep 0.1
done
# A rank, not what a rank is just starting (the CPU runtime's linker, say, before its exec).
victim=$(cat /proc/[0-9]*/stat 2>/dev/null |
    awk -v session=$group '{ pid = $1; named = /\(motley\)/; sub(/^.*\) /, "") }
        named && $4 == session { parent[pid] = $2 }
        END { for (pid in parent) if (!(parent[pid] in parent)) last = pid; print last }')
kill -TERM "$victim" || fail "no rank to send SIGTERM to"
wait $group || fail "exit status after SIGTERM"
step=$(($(wc -l <"$work/term/loss.csv") - 1))
[ -f "$work/term/checkpoint-$step/trainer.json" ] || fail "step $step is not saved"
grep -q "stopped on request behind step $step" "$work/out" || fail "it does not say that it stopped"
run 2 train --output "$work/term" --resume --steps $((step + 2)) || fail "going on behind SIGTERM"
[ -f "$work/term/checkpoint-$((step + 2))/trainer.json" ] || fail "the last step is not saved"

echo "== bad input"
head -c 1000 "$work/text" >"$work/small"
: >"$work/empty"
head -c 3000 /dev/zero >"$work/zeros"
for ranks in 1 2; do
    refused $ranks "cannot be read: No such file" train --text "$work/nowhere" --output "$work/x" $sizes
    refused $ranks "holds no text" train --text "$work/empty" --output "$work/x" $sizes
    refused $ranks "not a text file" train --text "$work/zeros" --output "$work/x" $sizes
    refused $ranks "too few for a sequence" train --text "$work/small" --output "$work/x"
    refused $ranks "go on from it with --resume" train --text "$work/text" --output "$work/a" $sizes
    refused $ranks "not the one of the checkpoint" train --text "$work/small" --output "$work/a" --resume
    refused $ranks "--text" train --output "$work/x"
    refused $ranks "loss scaling" train --text "$work/text" --output "$work/x" --dtype f16 $sizes
    refused $ranks "without gate noise" train --text "$work/text" --output "$work/x" --importance 0.1 $sizes
    refused $ranks "without a capacity" train --text "$work/text" --output "$work/x" --bpr $sizes
    refused $ranks "experts per token" train --text "$work/text" --output "$work/x" --top-k 9
    refused $ranks "cannot be" train --text "$work/text" --output "$work/text/below" $sizes
    refused $ranks "no such directory" generate --model "$work/nowhere" --prompt x
    refused $ranks "neither a model" generate --model "$work" --prompt x
done
cp -r "$work/a/checkpoint-6" "$work/cut"
dd if="$work/a/checkpoint-6/model.safetensors" of="$work/cut/model.safetensors" bs=2000 count=1 2>/dev/null
refused 2 "model.safetensors" generate --model "$work/cut" --prompt x
rm -f "$work/cut/config.json"
[ ! -e "$work/x/loss.csv" ] || fail "a refused run wrote losses"

echo "== a full disk"
# A limit of 8 MB to the size of a file stands for it: MPI's own files and the losses fit, a model of 9 MB does not.
sh "$here/run-mpi" 2 sh -c "trap '' XFSZ; ulimit -f 16384; exec $motley train --text $work/text --output $work/full \
    --steps 4 --save-every 2 --width 128 --hidden 256 --layers 3 --heads 2 --sequence 32 --batch 2 --held-out 64" \
    >"$work/out" 2>"$work/log" && fail "a run on a full disk succeeded"
grep -q "^motley train: .*model.safetensors.*File too large" "$work/log" || fail "a full disk is not named"
[ "$(wc -l <"$work/full/loss.csv")" = 3 ] || fail "the losses before it are lost"
[ -z "$(ls "$work/full" | grep checkpoint)" ] || fail "a full disk left half a checkpoint"
