#!/bin/sh
# Which experts tokens choose together, by the command: what `motley layer` records is what the tokens chose, whatever
# the ranks; `motley plan` reaches the least copies for the published counts; with experts placed by them fewer rows
# travel and results agree with tests/reference.py, as they do with routing held to collaborators; and files and options
# that cannot be are refused.
#
# PYTHON names the interpreter (python3).
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
"$python" -c 'import numpy' 2>/dev/null ||
    { echo "skipped: no $python with numpy here; on Debian or Ubuntu: apt-get install python3-numpy"; exit 77; }

motley=$BUILD_DIR/motley
published=$here/coactivation/llama-moe-base.csv
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
    echo "FAILED: $*"
    failed=$((failed + 1))
}

# layer RANKS [OPTION...]: into $work/out and $work/stats.
layer() {
    ranks=$1
    shift
    rm -f "$work/out" "$work/stats"
    sh "$here/run-mpi" "$ranks" "$motley" layer --quiet --input "$work/in" --output "$work/out" --stats "$work/stats" \
        --backward "$@"
}

# agrees [OPTION...]: the last layer's output with the reference.
agrees() {
    "$python" "$here/reference.py" check "$work/in" "$work/out" --backward --stats "$work/stats" "$@" ||
        fail "the reference gives something else: $*"
}

# The sum of rows_sent in $work/stats.
rows_sent() {
    "$python" -c 'import json, sys; print(sum(r["rows_sent"] for r in json.load(open(sys.argv[1]))["ranks"]))' \
        "$work/stats"
}

# Published counts: the least copies per token of four and of two ranks with as many experts each.
for expected in "4 1.522" "2 1.268"; do
    ranks=${expected% *}
    sh "$here/run-mpi" "$ranks" "$motley" plan --tokens 512 --width 64 --hidden 64 --experts 8 --top-k 2 --mode expert \
        --shares even --coactivation "$published" >"$work/plan" || fail "no plan of $ranks ranks"
    tail -1 "$work/plan"
    grep -q "^mean of 32 layers, each by itself: ${expected#* }. copies per token" "$work/plan" ||
        fail "$ranks ranks: expected ${expected#* } copies per token"
done
sh "$here/run-mpi" 2 "$motley" plan --tokens 512 --width 64 --hidden 64 --experts 8 --top-k 2 --mode expert \
    --shares even --coactivation "$published" --json >"$work/plan"
"$python" - "$work/plan" <<'END' || fail "the plan's JSON says something else"
import json, sys
said = json.load(open(sys.argv[1]))["coactivation"]
copies = [layer["copies_per_token"] for layer in said["layers"]]
before = [layer["copies_per_token_before"] for layer in said["layers"]]
sys.exit(len(copies) != 32 or abs(sum(copies) / 32 - 1.2684) > 1e-4 or abs(sum(before) / 32 - 1.5845) > 1e-4)
END

# Tokens that choose as in layer 3 of these: recorded alike by three ranks and by one, and placed by what was recorded.
"$python" "$here/reference.py" make "$work/in" --tokens 1500 --width 16 --hidden 16 --experts 8 --top-k 2 \
    --activation swiglu --pairs "$published" --layer 3
choice="--gate forced --activation swiglu --top-k 2"
for ranks in 3 1; do
    layer $ranks $choice --shares even --mode expert --repeat 2 --record-coactivation "$work/recorded$ranks" ||
        fail "recording on $ranks ranks"
    agrees $choice --recorded "$work/recorded$ranks"
done
cmp "$work/recorded1" "$work/recorded3" && cmp "$work/recorded1.sets" "$work/recorded3.sets" ||
    fail "one rank and three record something else"
layer 4 $choice --shares even --mode expert || fail "four ranks"
before=$(rows_sent)
layer 4 $choice --shares even --mode expert --coactivation "$work/recorded3" || fail "placed on four ranks"
agrees $choice
after=$(rows_sent)
echo "4 ranks: $before rows sent, $after with experts placed by what was recorded"
[ "$after" -lt "$before" ] || fail "$before rows sent before and $after after"
layer 3 $choice --coactivation "$published" --coactivation-layer 3 || fail "placed by a layer of the published counts"
agrees $choice
echo "40 5 5 5 5 5 5 5" >"$work/loads" # the first gets replicas, whatever its tokens really are
layer 3 $choice --mode expert --coactivation "$work/recorded3" --loads "$work/loads" || fail "placed with replicas"
"$python" "$here/reference.py" check "$work/in" "$work/out" --backward $choice || # of rows it knows one home each
    fail "the reference gives something else, with replicas"
sh "$here/run-mpi" 3 "$motley" plan --tokens 1500 --width 16 --hidden 16 --experts 8 --top-k 2 --mode expert \
    --backward --coactivation "$work/recorded3" --loads "$work/loads" >"$work/plan" || fail "no plan with replicas"
grep '^copies per token: ' "$work/plan" || fail "the plan does not say how many copies there are of a token"

# Routing held to collaborators; three experts for a token, so the sets matter for where experts go.
"$python" "$here/reference.py" make "$work/in" --tokens 301 --width 16 --hidden 16 --experts 6 --top-k 3 \
    --activation swiglu
layer 2 --activation swiglu --top-k 3 --shares even --record-coactivation "$work/recorded" ||
    fail "recording sets of three"
agrees --activation swiglu --top-k 3 --recorded "$work/recorded"
bound="--activation swiglu --top-k 3 --normalize --collaborators 2 --coactivation $work/recorded"
layer 3 $bound --shares even || fail "held to collaborators on three ranks"
agrees $bound

# refused WORDS COMMAND OPTION...: 2 ranks, one line that says so, and nothing is left.
refused() {
    words=$1 command=$2
    shift 2
    rm -f "$work/out" "$work/stats"
    sh "$here/run-mpi" 2 "$motley" "$command" --quiet "$@" >/dev/null 2>"$work/stderr" && fail "accepted: $*"
    grep "^motley $command: " "$work/stderr"
    [ "$(grep -c "^motley $command: " "$work/stderr")" = 1 ] && grep -q -- "$words" "$work/stderr" ||
        { fail "expected \"$words\": $command $*"; cat "$work/stderr"; }
    [ ! -e "$work/out" ] && [ ! -e "$work/stats" ] || fail "something was left: $*"
}
shape="--tokens 64 --width 16 --hidden 16 --experts 6 --top-k 3 --shares even"
tensors="--input $work/in --output $work/out --stats $work/stats --top-k 3"
refused "absent: " plan $shape --coactivation "$work/absent"
refused "of 8 experts, but the layer has 6" plan $shape --coactivation "$published"
refused "coactivation-layer: expected 0 to 0, the layers of" plan $shape --coactivation "$work/recorded" \
    --coactivation-layer 1
sed '3s/,[0-9]*$/,many/' "$work/recorded" >"$work/lying"
refused "lying:3: with_5: expected a number" layer $tensors --coactivation "$work/lying"
refused "expected --coactivation FILE beside it" layer $tensors --collaborators 3
refused "collaborators is 1, expected at least 2" layer $tensors --collaborators 1 --coactivation "$work/recorded"
refused "absent/file: cannot be created" layer $tensors --record-coactivation "$work/absent/file"

[ "$failed" = 0 ] || { echo "$failed checks failed"; exit 1; }
