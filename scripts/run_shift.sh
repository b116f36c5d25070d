#!/usr/bin/env bash
# Reproduce results/shift_consistency.* and results/robustness.*: how many verdicts a shift of the picture flips, and what
# corruptions of the camera do, of a plain network, an anti-aliased one and one that was trained on shifted pictures, all
# from random weights and at equal steps.
#
#   bash scripts/run_shift.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). SEEDS="0" in the environment does with one seed. Finished
# runs are kept; an interrupted one is resumed. About an hour a seed on 2 cores. Only validation boards judge.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
runs=runs/shift
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

deeppcb_tiles "$source_folder"
for seed in ${SEEDS:-0 1 2}; do
    for name in plain antialiased translated; do
        stage finetune "$runs/$name-$seed" --config "configs/finetune/shift_$name.yaml" --data "$runs/tiles.csv" \
            --seed "$seed"
    done
done
python scripts/results_shift.py "$runs"
