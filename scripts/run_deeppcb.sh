#!/usr/bin/env bash
# Reproduce results/deeppcb.csv: the board-disjoint DeepPCB baseline, about an hour on 2 cores.
#
#   bash scripts/run_deeppcb.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). Finished runs are kept; an interrupted one is resumed.
# The runs look at the test boards and record it in results/test_ledger.csv.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
runs=runs/deeppcb
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

deeppcb_tiles "$source_folder"
stage pretrain "$runs/pretrain" --config configs/pretrain/deeppcb.yaml
stage linear-eval "$runs/linear-eval" --config configs/linear_eval/deeppcb.yaml
for sampler in natural epoch_undersample; do
    config=configs/finetune/deeppcb_$sampler.yaml
    stage finetune "$runs/scratch-$sampler" --config "$config" --checkpoint none
    stage finetune "$runs/simclr-$sampler" --config "$config" --checkpoint "$runs/pretrain"
done
python scripts/results_deeppcb.py "$runs"
