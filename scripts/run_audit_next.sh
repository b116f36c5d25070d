#!/usr/bin/env bash
# Reproduce results/audit_next.csv: 200 tiles of DeepPCB to label next, chosen by 'ssl-pcb audit next' or at random.
#
#   bash scripts/run_audit_next.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). Each seed begins with 1 % of the training labels; four
# finetunings a seed, about 3 minutes each on 2 cores. SEEDS="0" in the environment makes fewer, COUNT=50 chooses fewer,
# FLAGS holds more flags of finetune. Only validation boards judge. Finished runs are kept; an interrupted one is resumed.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
runs=runs/audit_next
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

count=${COUNT:-200}
read -ra flags <<<"${FLAGS:-}"
deeppcb_tiles "$source_folder"
stage pretrain "$runs/pretrain" --config configs/pretrain/few_labels_exact.yaml \
    --data "$runs/tiles.csv" ${PRETRAIN_FLAGS:-}

learn() { # learn NAME SEED: finetune on NAME.csv. The last epoch is kept: validation labels choose nothing
    stage finetune "$runs/$1-finetune" --config configs/finetune/few_labels_neck.yaml --checkpoint "$runs/pretrain" \
        --data "$runs/$1.csv" --seed "$2" --set backbone.neck=7 --set head_start=probe --set select=last ${flags[@]+"${flags[@]}"}
}

for seed in ${SEEDS:-0 1 2 3 4}; do
    few="few-$seed"
    if [ ! -e "$runs/$few.csv" ]; then
        python scripts/results_audit_next.py hide "$runs/tiles.csv" "${SHARE:-0.01}" "$seed" "$runs/$few.csv"
    fi
    learn "$few" "$seed"
    for choice in next diverse random; do
        name="$choice-$seed" chosen="$runs/$choice-$seed-chosen"
        if [ ! -e "$runs/$name.csv" ]; then
            rm -rf "$chosen"
            case $choice in
                next) ssl-pcb audit next "$runs/$few.csv" --run "$runs/$few-finetune" -n "$count" --seed "$seed" --out "$chosen" ;;
                diverse) ssl-pcb audit next "$runs/$few.csv" --run "$runs/pretrain" -n "$count" --seed "$seed" --out "$chosen" ;;
                random)
                    mkdir "$chosen"
                    python scripts/results_audit_next.py random "$runs/$few.csv" "$count" "$seed" "$chosen/next.csv"
                    ;;
            esac
            python scripts/results_audit_next.py answer "$runs/tiles.csv" "$chosen/next.csv" "$chosen/answers.csv"
            ssl-pcb data relabel "$runs/$few.csv" "$chosen/answers.csv" --out "$runs/$name.csv" --by oracle
        fi
        learn "$name" "$seed"
    done
done
python scripts/results_audit_next.py measure "$runs"
