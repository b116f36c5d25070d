#!/usr/bin/env bash
# Reproduce results/downsizer_deeppcb.csv: a learned downsizer beside plain resizing, at equal cost.
#
#   bash scripts/run_downsizer.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). A finished autoencoder is kept. The test boards are not
# looked at.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
runs=runs/downsizer
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

deeppcb_tiles "$source_folder"
stage pretrain "$runs/autoencoder" --config configs/pretrain/autoencoder_deeppcb.yaml --data "$runs/tiles.csv" \
    --image-size 128 --epochs 2
python scripts/compare_downsizer.py "$runs/tiles.csv" "$runs/autoencoder" "$runs" training.epochs=5
