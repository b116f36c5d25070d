#!/usr/bin/env bash
# Reproduce results/reduction_deeppcb.csv: autoencoders of 16, 64 and 256 numbers beside principal components.
#
#   bash scripts/run_reduction.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). Finished runs are kept; an interrupted one is resumed.
# The test boards are not looked at.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
runs=runs/reduction
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

deeppcb_tiles "$source_folder"
for dim in 16 64 256; do
    stage pretrain "$runs/dim$(printf '%03d' "$dim")" \
        --config configs/pretrain/autoencoder_deeppcb.yaml --set "method.dim=$dim"
done
python scripts/results_reduction.py "$runs"
