#!/usr/bin/env bash
# Reproduce rows of results/label_audit.csv: wrong labels planted on DeepPCB's tiles, and found again.
#
#   bash scripts/run_label_audit.sh PATH/TO/DEEPPCB [ROW...]
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). A row is pretext (networks that begin with learning painted
# defects) or golden (networks that see the golden image too); without any, both. 5 % and 10 % of the labels are turned
# over, at random and at the class boundary: five cross-validations a row and seed, about 12 minutes each on 2 cores.
# SEEDS="0" in the environment makes fewer, SIZE=128 looks closer, FLAGS holds more flags of crossval. The test boards
# are not looked at. Finished runs are kept; an interrupted one is resumed.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
shift
runs=runs/label_audit
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

size=${SIZE:-64}
read -ra flags <<<"${FLAGS:-}"
deeppcb_tiles "$source_folder"
stage pretrain "$runs/pretrain-$size" --config configs/pretrain/few_labels_exact.yaml \
    --data "$runs/tiles.csv" --image-size "$size" ${PRETRAIN_FLAGS:-}
if [ $# = 0 ]; then set -- pretext golden; fi
for row in "$@"; do
    case $row in
        pretext) start=(--checkpoint "$runs/pretrain-$size") ;;
        golden) start=(--references --checkpoint none --set transductive=false) ;;
        *) echo "$row: is not pretext or golden" >&2 && exit 2 ;;
    esac
    for seed in ${SEEDS:-0 1 2}; do
        judge=(--config configs/crossval/label_audit.yaml --image-size "$size" --seed "$seed"
            "${start[@]}" ${flags[@]+"${flags[@]}"})
        clean="$runs/$row-$size-clean-$seed"
        stage crossval "$clean" --data "$runs/tiles.csv" "${judge[@]}"
        for kind in random boundary; do
            for rate in 0.05 0.1; do
                run="$runs/$row-$size-$kind-$rate-$seed"
                if [ ! -e "$run.csv" ]; then
                    python scripts/results_label_audit.py plant \
                        "$runs/tiles.csv" "$clean" "$kind" "$rate" "$seed" "$run.csv"
                fi
                stage crossval "$run" --data "$run.csv" "${judge[@]}"
            done
        done
    done
done
python scripts/results_label_audit.py measure "$runs"
