#!/usr/bin/env bash
# Reproduce results/precision_deeppcb.csv: painted defects learnt in bf16 and in fp32, three seeds each, judged on
# validation boards. A method that learns much in little time: one that learns nothing is the same in any precision.
#
#   bash scripts/run_precision.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). Finished runs are kept; an interrupted one is resumed.
# About an hour on 2 cores. The test boards are not looked at.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
runs=runs/precision
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

deeppcb_tiles "$source_folder"
for seed in 0 1 2; do
    for precision in bf16 fp32; do
        run="$runs/$precision-$seed"
        shared=(--data "$runs/tiles.csv" --precision "$precision" --seed "$seed")
        stage pretrain "$run" --config configs/pretrain/few_labels_pretext.yaml --epochs 4 "${shared[@]}"
        stage linear-eval "$run-probes" --config configs/linear_eval/few_labels_neck.yaml --checkpoint "$run" \
            "${shared[@]}"
    done
done
python scripts/results_precision.py "$runs"
