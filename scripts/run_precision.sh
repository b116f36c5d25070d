#!/usr/bin/env bash
# Reproduce results/precision_deeppcb.csv: SimCLR in bf16 and in fp32, three seeds each, judged on validation boards.
#
#   bash scripts/run_precision.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). Finished runs are kept; an interrupted one is resumed.
# About an hour on 2 cores. The test boards are not looked at.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
source "$(dirname "${BASH_SOURCE[0]}")/setup_venv.sh"
runs=runs/precision
mkdir -p "$runs"

if [ ! -e "$runs/tiles.csv" ]; then
    ssl-pcb data import deeppcb "$source_folder" "$runs/unsplit.csv" --overwrite
    ssl-pcb data split "$runs/unsplit.csv" --out "$runs/tiles.csv" \
        --assign train=00041,13000,20085 --assign val=12000,12300 --assign test=44000,77000,92000
fi

stage() { # stage NAME OUT ...: run it unless it is finished
    local name=$1 out=$2
    shift 2
    if grep -qs '"status": "finished"' "$out/run.json"; then return; fi
    local resume=()
    if [ -e "$out/run.json" ]; then resume=(--resume); fi
    ssl-pcb "$name" --out "$out" --data "$runs/tiles.csv" "$@" ${resume[@]+"${resume[@]}"}
}

for seed in 0 1 2; do
    for precision in bf16 fp32; do
        run="$runs/$precision-$seed"
        stage pretrain "$run" --config configs/pretrain/deeppcb.yaml --epochs 3 --precision "$precision" --seed "$seed"
        stage linear-eval "$run-probes" --config configs/linear_eval/deeppcb.yaml --checkpoint "$run" \
            --precision "$precision" --seed "$seed" --set test=false
    done
done
python scripts/results_precision.py "$runs"
