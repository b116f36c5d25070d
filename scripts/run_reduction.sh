#!/usr/bin/env bash
# Reproduce results/reduction_deeppcb.csv: autoencoders of 16, 64 and 256 numbers beside principal components.
#
#   bash scripts/run_reduction.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). Finished runs are kept; an interrupted one is resumed.
# The test boards are not looked at.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
source "$(dirname "${BASH_SOURCE[0]}")/setup_venv.sh"
runs=runs/reduction
mkdir -p "$runs"

if [ ! -e "$runs/tiles.csv" ]; then
    ssl-pcb data import deeppcb "$source_folder" "$runs/unsplit.csv" --overwrite
    ssl-pcb data split "$runs/unsplit.csv" --out "$runs/tiles.csv" \
        --assign train=00041,13000,20085 --assign val=12000,12300 --assign test=44000,77000,92000
fi

for dim in 16 64 256; do
    out="$runs/dim$(printf '%03d' "$dim")"
    if grep -qs '"status": "finished"' "$out/run.json"; then continue; fi
    resume=()
    if [ -e "$out/run.json" ]; then resume=(--resume); fi
    ssl-pcb pretrain --config configs/pretrain/autoencoder_deeppcb.yaml --set "method.dim=$dim" --out "$out" \
        ${resume[@]+"${resume[@]}"}
done
python scripts/results_reduction.py "$runs"
