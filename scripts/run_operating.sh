#!/usr/bin/env bash
# Reproduce results/operating.csv: from a run to 'at this threshold we miss at most x % of the defects', on DeepPCB.
#
#   bash scripts/run_operating.sh PATH/TO/DEEPPCB [ROW]
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). ROW is a row of scripts/run_few_labels.sh with a neck: exact
# (painted defects first; the default), another such pretraining, or scratch_neck (random weights). Its finetuning on all
# labels is taken if it is finished, and made if not: 10 minutes on 2 cores, for scratch_neck 3. Then synthetic panels are
# painted, and 21 evaluations made, 12 of them of whole images too: 8 minutes. Finished parts are kept.
# Validation boards choose every threshold; the test boards are not looked at.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
row=${2:-exact}
runs=runs/few_labels out=runs/operating
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

run="$runs/$row-64-0-finetune-1.0"
common=(--data "$runs/tiles.csv" --image-size 64 --seed 0)

judge() { # judge NAME FLAG...: evaluate the run into $out/$row/NAME, unless that is done
    if [ -e "$out/$row/$1/evaluation.json" ]; then return; fi
    ssl-pcb evaluate "$run" --out "$out/$row/$1" --defect-rate 0.002 "${@:2}"
}

synthetic() { # synthetic SIDE BOARDS: $out/SIDE.csv, tiles of black and white panels of SIDE px, half of them good
    if [ -e "$out/$1.csv" ]; then return; fi
    rm -rf "$out/panels-$1"
    ssl-pcb data synth "$out/panels-$1" --style binary --zoom 1 --image-size "$1" --boards "$2" --images-per-board 5 \
        --defect-rate 0.5 --seed 7
    ssl-pcb data import table "$out/panels-$1/manifest.csv" "$out/unsplit-$1.csv" --tile 128 \
        --blank-std 20 --overwrite
    # 'evaluate --data' judges split test, and a split needs a board each for training and validation.
    ssl-pcb data split "$out/unsplit-$1.csv" --out "$out/$1.csv" --assign train=s7-b00 --assign val=s7-b01 \
        --assign "test=$(seq -s , -f 's7-b%02g' 2 $(($2 - 1)))"
}

deeppcb_tiles "$source_folder"
start=none made=()
if [ "$row" != scratch_neck ]; then
    start="$runs/$row-64-0"
    config="configs/pretrain/few_labels_$row.yaml"
    stage pretrain "$start" --config "$config" "${common[@]}"
    made=(--set "backbone.neck=$(sed -n 's/^  neck: //p' "$config")" --set head_start=probe)
fi
stage finetune "$run" --config configs/finetune/few_labels_neck.yaml --checkpoint "$start" "${common[@]}" \
    ${made[@]+"${made[@]}"}

mkdir -p "$out"
synthetic 256 42
synthetic 640 22
judge validation
while read -r name rule; do
    # shellcheck disable=SC2086 # a rule is several words
    case $name in
        *-bound)
            judge "$name" --holdout --panels $rule
            judge "$name-256" --data "$out/256.csv" --panels $rule
            judge "$name-640" --data "$out/640.csv" --panels $rule
            ;;
        *) judge "$name" --holdout $rule ;;
    esac
done <<'RULES'
escape-5-point --max-escape 0.05 --as point
escape-5-bound --max-escape 0.05
escape-2-point --max-escape 0.02 --as point
escape-2-bound --max-escape 0.02
escape-1-point --max-escape 0.01 --as point
escape-1-bound --max-escape 0.01
false-calls-2-bound --max-false-calls 0.02
costs --cost-escape 500 --cost-false-call 1
best-f1 --best-f1
review-5-2 --max-escape 0.05 --max-false-calls 0.02
review-2-2 --max-escape 0.02 --max-false-calls 0.02
review-1-2 --max-escape 0.01 --max-false-calls 0.02
RULES
python scripts/results_operating.py "$out/$row"
