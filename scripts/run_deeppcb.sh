#!/usr/bin/env bash
# Reproduce results/deeppcb.csv: the board-disjoint DeepPCB baseline, about an hour on 2 cores.
#
#   bash scripts/run_deeppcb.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). Finished runs are kept; an interrupted one is resumed.
# The runs look at the test boards and record it in results/test_ledger.csv.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
source "$(dirname "${BASH_SOURCE[0]}")/setup_venv.sh"
runs=runs/deeppcb
mkdir -p "$runs"

if [ ! -e "$runs/tiles.csv" ]; then
    ssl-pcb data import deeppcb "$source_folder" "$runs/unsplit.csv" --overwrite
    ssl-pcb data split "$runs/unsplit.csv" --out "$runs/tiles.csv" \
        --assign train=00041,13000,20085 --assign val=12000,12300 --assign test=44000,77000,92000
fi

stage() { # stage NAME CONFIG ...: run it unless it is finished
    local name=$1 out="$runs/$2"
    shift 2
    if grep -qs '"status": "finished"' "$out/run.json"; then return; fi
    local resume=()
    if [ -e "$out/run.json" ]; then resume=(--resume); fi
    ssl-pcb "$name" --out "$out" "$@" ${resume[@]+"${resume[@]}"}
}

stage pretrain pretrain --config configs/pretrain/deeppcb.yaml
stage linear-eval linear-eval --config configs/linear_eval/deeppcb.yaml
for sampler in natural epoch_undersample; do
    config=configs/finetune/deeppcb_$sampler.yaml
    stage finetune "scratch-$sampler" --config "$config" --checkpoint none
    stage finetune "simclr-$sampler" --config "$config" --checkpoint "$runs/pretrain"
done
python scripts/results_deeppcb.py "$runs"
